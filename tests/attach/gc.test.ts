/**
 * GC: what is newer than it, and whose time is whose (state.md "CHECK, GC,
 * STATUS", "Time"). What it does with real processes is in tests/integration.
 */
import { describe, expect, test } from "bun:test";
import { gc } from "../../lib/attach/gc.ts";
import { type Operation, beginOperation } from "../../lib/attach/operation.ts";
import {
  type AttachmentRecord,
  Records,
  formatVersion,
} from "../../lib/attach/record.ts";
import { realWorld } from "../../lib/attach/world.ts";
import { parseConf } from "../../lib/cni/conflist.ts";
import type { ExecRequest, ExecResult } from "../../lib/cni/exec.ts";
import { own, parseJson } from "../../lib/cni/json.ts";
import { temporaryFolder, writeFiles } from "../support/delegate.ts";

const boot = "this boot";
/** When the GC of these tests begins, in milliseconds since the boot. */
const beganMs = 1000;

/** Written after the others, but before GC began. */
const younger = { uptimeMs: 2, time: "2026-01-02T00:00:00.000Z" };

/** A call as the delegate sees it, and how many milliseconds it has. */
interface Call {
  what: string;
  ms: number;
  /** GC: `container:interface` of what must stay. */
  keep?: string[];
}

/** A node whose delegates are `answer`: how many milliseconds each takes, for ever by default. */
class GcNode implements Disposable {
  readonly #folder = temporaryFolder();
  readonly records = new Records(this.#folder.path);
  readonly calls: Call[] = [];
  #now = 0;
  readonly #takes: (what: string) => number;

  constructor(takes: (what: string) => number = () => 0) {
    this.#takes = takes;
    for (const type of ["alpha", "beta"])
      writeFiles(this.#folder.path, { [`bin/${type}`]: "" });
  }

  record(
    containerId: string,
    type: string,
    overrides: Partial<AttachmentRecord> = {},
  ): void {
    const record: AttachmentRecord = {
      formatVersion,
      containerId,
      ifname: "eth0",
      netns: "",
      network: "genie-net",
      time: "2026-01-01T00:00:00.000Z",
      bootId: boot,
      uptimeMs: 1,
      path: [`${this.#folder.path}/bin`],
      attachments: [
        {
          list: parseConf({
            cniVersion: "1.1.0",
            name: `${type}-net`,
            type,
          }),
          ifname: "eth0",
          args: "",
          capabilityArgs: {},
        },
      ],
      ...overrides,
    };
    this.records.write(record).close();
    this.records.writeResults(record, [{ cniVersion: "1.1.0" }]);
  }

  /** Of a runtime to which these are valid. */
  async gc(...valid: string[]): Promise<unknown> {
    try {
      await gc(this.#operation(valid));
      return undefined;
    } catch (error) {
      return error;
    }
  }

  left(): string[] {
    return [...this.records.all()]
      .flatMap((entry) => entry.record?.containerId ?? [])
      .toSorted();
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }

  #operation(valid: readonly string[]): Operation {
    const { path } = this.#folder;
    return beginOperation(
      {
        command: "GC",
        containerId: "",
        netns: "",
        ifname: "",
        args: "",
        path: [`${path}/bin`],
        cniVersion: "1.1.0",
        config: {
          name: "genie-net",
          type: "genie",
          confDir: `${path}/net.d`,
          dataDir: path,
          "cni.dev/valid-attachments": valid.map((containerID) => ({
            containerID,
            ifname: "eth0",
          })),
        },
      },
      {
        ...realWorld({}),
        exec: async (request) => Promise.resolve(this.#exec(request)),
        clock: () => this.#now,
        sleep: () => Promise.reject(new Error("no pause was expected")),
        bootId: () => boot,
        uptimeMs: () => beganMs,
      },
    );
  }

  /** Ends in time, or is killed when its time is over. */
  #exec({ path, env, stdin, deadline }: ExecRequest): ExecResult {
    const { CNI_COMMAND: verb, CNI_CONTAINERID: id } = env;
    const what = [verb, path.split("/").at(-1), id].filter(Boolean).join(" ");
    const keep = own(parseJson(stdin), "cni.dev/valid-attachments");
    const ms = deadline.remaining;
    this.calls.push({ what, ms, ...(verb === "GC" && { keep: names(keep) }) });
    const took = this.#takes(what);
    this.#now += Math.min(took, ms);
    const ended = { exitCode: 0, signal: null, stdout: "", stderr: "" };
    return took > ms ? { ...ended, exitCode: null, killed: "deadline" } : ended;
  }
}

function names(attachments: unknown): string[] {
  return [attachments]
    .flat()
    .map(
      (entry) =>
        `${String(own(entry, "containerID"))}:${String(own(entry, "ifname"))}`,
    )
    .toSorted();
}

describe("gc, records of an ADD that the runtime's list cannot know of", () => {
  test.each<[string, Partial<AttachmentRecord>, string[]]>([
    ["written before: deleted", { uptimeMs: beganMs }, []],
    ["written after: stays", { uptimeMs: beganMs + 1 }, ["c1"]],
    [
      "of another boot, whatever its clock says: deleted",
      { bootId: "another", uptimeMs: beganMs + 1 },
      [],
    ],
    ["of another network of ours: stays", { network: "other-net" }, ["c1"]],
  ])("%s", async (_, overrides, stays) => {
    using node = new GcNode();
    node.record("c1", "alpha", overrides);
    expect(await node.gc()).toBeUndefined();
    expect(node.left()).toEqual(stays);
    // The network is told to keep what stays.
    expect(node.calls.at(-1)).toMatchObject({
      what: "GC alpha",
      keep: stays.map((id) => `${id}:eth0`),
    });
  });

  test("written while GC deletes another: the network keeps it", async () => {
    using node = new GcNode((what) => {
      if (what === "DEL alpha c1")
        node.record("c2", "alpha", { uptimeMs: beganMs + 1 });
      return 0;
    });
    node.record("c1", "alpha");
    expect(await node.gc()).toBeUndefined();
    expect(node.calls.map(({ what, keep }) => ({ what, keep }))).toEqual([
      { what: "DEL alpha c1", keep: undefined },
      { what: "GC alpha", keep: ["c2:eth0"] },
    ]);
    expect(node.left()).toEqual(["c2"]);
  });

  test("written while GC tells the first network: the second keeps it", async () => {
    using node = new GcNode((what) => {
      if (what === "GC alpha")
        node.record("c3", "beta", { uptimeMs: beganMs + 1 });
      return 0;
    });
    node.record("c1", "alpha");
    node.record("c2", "beta", younger);
    expect(await node.gc("c1", "c2")).toBeUndefined();
    expect(node.calls.map(({ what, keep }) => ({ what, keep }))).toEqual([
      { what: "GC alpha", keep: ["c1:eth0"] },
      { what: "GC beta", keep: ["c2:eth0", "c3:eth0"] },
    ]);
  });
});

describe("gc, its 25 seconds", () => {
  test("records that hang have half of them, each its share; networks have the rest", async () => {
    using node = new GcNode((what) =>
      what.startsWith("DEL") ? Number.POSITIVE_INFINITY : 0,
    );
    node.record("c1", "alpha");
    node.record("c2", "alpha");
    expect(await node.gc()).toMatchObject({ code: 11 });
    const [first, second, network] = node.calls.map(({ ms }) => Math.round(ms));
    expect([first, second]).toEqual([6250, 6250]);
    expect(network).toBe(12_500);
    expect(node.left()).toEqual(["c1", "c2"]);
  });

  test("what a quick record does not need is the others'", async () => {
    using node = new GcNode();
    node.record("c1", "alpha");
    node.record("c2", "beta", younger);
    expect(await node.gc()).toBeUndefined();
    // Records come in any order, networks in that of their records' age.
    expect(node.calls.map(({ ms }) => ms)).toEqual([
      6250, 12_500, 12_500, 25_000,
    ]);
    expect(node.calls.slice(2).map(({ what }) => what)).toEqual([
      "GC alpha",
      "GC beta",
    ]);
  });

  test("a network that hangs leaves the next its share", async () => {
    using node = new GcNode((what) =>
      what === "GC alpha" ? Number.POSITIVE_INFINITY : 0,
    );
    node.record("c1", "alpha");
    node.record("c2", "beta", younger);
    expect(await node.gc("c1", "c2")).toMatchObject({ code: 11 });
    expect(node.calls.map(({ what, ms }) => `${what} ${ms}`)).toEqual([
      "GC alpha 12500",
      "GC beta 12500",
    ]);
    expect(node.left()).toEqual(["c1", "c2"]);
  });
});
