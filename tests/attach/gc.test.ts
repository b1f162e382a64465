/**
 * GC: which records it deletes, which networks it asks and with what list, whose
 * time is whose (state.md "CHECK, GC, STATUS", "Time"). What it does with real
 * processes is in tests/integration.
 */
import { attachmentOf, recordOf, resultsOf } from "../support/records.ts";
import { describe, expect, spyOn, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import type { Context } from "../../lib/attach/context.ts";
import { gc } from "../../lib/attach/gc.ts";
import { ValidAttachments } from "../../lib/attach/gc/valid-attachments.ts";
import { invalidConfig } from "../../lib/cni/error.ts";
import { own, parseJson } from "../../lib/cni/json.ts";
import type { ExecRequest, ExecResult } from "../../lib/linux/exec.ts";
import { type Lock, isWorkedOn, lockIfLeft } from "../../lib/state/lock.ts";
import { lockPath } from "../../lib/state/lock-file.ts";
import { RecordDirectory } from "../../lib/state/record-directory.ts";
import type { AttachmentRecord } from "../../lib/state/record.ts";
import { formatVersion } from "../../lib/state/record-text.ts";
import { temporaryDirectory, writeFiles } from "../support/delegate.ts";
import { lockNow } from "../support/lock.ts";
import { parseConf } from "../../lib/cni/conflist.ts";
import { contextOf } from "../support/context.ts";

const boot = "this boot";
/** When the GC of these tests begins, in milliseconds since the boot. */
const beganMs = 1_000_000;

/** Written after the others, but long before GC began. */
const younger = { uptimeMs: 2, time: "2026-01-02T00:00:00.000Z" };

/** A call as the delegate sees it, and how many milliseconds it has. */
interface Call {
  what: string;
  ms: number;
  /** GC: `container:interface` of what must stay. */
  keep?: string[];
  /** GC: of the configuration. */
  mark?: unknown;
}

/** A node whose delegates take as many milliseconds as `takes` says, for ever by default. */
class GcNode implements Disposable {
  readonly #directory = temporaryDirectory();
  readonly dataDir = `${this.#directory.path}/data`;
  readonly records = new RecordDirectory(this.dataDir);
  readonly calls: Call[] = [];
  #now = 0;
  readonly #takes: (what: string) => number;

  constructor(takes: (what: string) => number = () => 0) {
    this.#takes = takes;
    for (const type of ["alpha", "beta", "gamma"])
      writeFiles(this.#directory.path, { [`bin/${type}`]: "" });
  }

  /** A network of delegates, or one of ours, in `confDir`. */
  network(name: string, type: string, more: object = {}): void {
    const conf = { cniVersion: "1.1.0", name, type, ...more };
    writeFiles(this.#directory.path, { [`net.d/${name}.conf`]: conf });
  }

  record(
    containerId: string,
    type: string,
    overrides: Partial<AttachmentRecord> = {},
    conf: Record<string, unknown> = {},
  ): void {
    const list = { cniVersion: "1.1.0", name: `${type}-net`, type, ...conf };
    const attachment = attachmentOf(`${type}-net`, "eth0", {
      list: { ...parseConf(list), disableGC: conf["disableGC"] === true },
    });
    const record = recordOf(containerId, {
      bootId: boot,
      path: [`${this.#directory.path}/bin`],
      attachments: [attachment],
      ...overrides,
    });
    this.records.write(record).close();
    this.records.writeResults(
      record,
      resultsOf(record, [{ cniVersion: "1.1.0" }]),
    );
  }

  /** A file of the records that says something else, written so long ago. */
  file(name: string, text: string, ageMs: number): string {
    const path = `${this.dataDir}/attachments/${name}.json`;
    mkdirSync(`${this.dataDir}/attachments`, { recursive: true, mode: 0o700 });
    writeFileSync(path, text);
    const written = new Date(Date.now() - ageMs);
    utimesSync(path, written, written);
    return path;
  }

  /** A GC of a runtime for which these are valid. */
  async gc(...valid: string[]): Promise<unknown> {
    try {
      await gc(this.#context(valid));
      return undefined;
    } catch (error) {
      return error;
    }
  }

  async left(): Promise<string[]> {
    return (await Array.fromAsync(this.records.all()))
      .flatMap(({ record }) => record?.containerId ?? [])
      .toSorted();
  }

  /** The lists that the networks get. */
  gcs(): Pick<Call, "what" | "keep">[] {
    return this.calls.flatMap(({ what, keep }) =>
      keep ? [{ what, keep }] : [],
    );
  }

  whats(): string[] {
    return this.calls.map(({ what }) => what);
  }

  [Symbol.dispose](): void {
    this.#directory[Symbol.dispose]();
  }

  #context(valid: readonly string[]): Context {
    const { path } = this.#directory;
    const list = valid.map((containerID) => ({ containerID, ifname: "eth0" }));
    return contextOf(
      {
        command: "GC",
        path: [`${path}/bin`],
        config: {
          name: "genie-net",
          type: "genie",
          confDir: `${path}/net.d`,
          dataDir: this.dataDir,
          "cni.dev/valid-attachments": list,
        },
      },
      {
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
    const conf = parseJson(stdin);
    const ms = deadline.remaining;
    const isGc = verb === "GC";
    const keep = names(own(conf, "cni.dev/valid-attachments"));
    const mark = own(conf, "mark");
    this.calls.push({ what, ms, ...(isGc && { keep, mark }) });
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

describe("gc, records that the runtime's list does not name", () => {
  const minute = 60_000;

  test.each<[string, Partial<AttachmentRecord>, string[]]>([
    ["older than a minute: deleted", { uptimeMs: beganMs - minute - 1 }, []],
    ["a minute old: stays", { uptimeMs: beganMs - minute }, ["c1"]],
    ["written after GC began: stays", { uptimeMs: beganMs + 1 }, ["c1"]],
    [
      "of another boot, whatever its clock says: deleted",
      { bootId: "another", uptimeMs: beganMs + 1 },
      [],
    ],
  ])("%s", async (_, overrides, stays) => {
    using node = new GcNode();
    node.record("c1", "alpha", overrides);
    expect(await node.gc()).toBeUndefined();
    expect(await node.left()).toEqual(stays);
    // The network is told to keep what stays.
    expect(node.gcs()).toEqual([
      { what: "GC alpha", keep: stays.map((id) => `${id}:eth0`) },
    ]);
  });

  test("of another genie network: stays, and its network of delegates is not asked", async () => {
    using node = new GcNode();
    node.record("c1", "alpha", { network: "other-net" });
    expect(await node.gc()).toBeUndefined();
    expect([await node.left(), node.whats()]).toEqual([["c1"], []]);
  });

  test("a living genie works on one when GC begins: it stays, also when that ends meanwhile", async () => {
    using node = new GcNode((what) => {
      if (what === "DEL alpha c1") lock?.release();
      return 0;
    });
    node.record("c1", "alpha");
    // Its turn comes after that of the other.
    const failures = { count: 1, bootId: boot, uptimeMs: 1 };
    node.record("c2", "alpha", { failures });
    const lock = lockNow(node.dataDir, "c2");
    expect(await node.gc()).toBeUndefined();
    expect(await node.left()).toEqual(["c2"]);
    expect(node.gcs()).toEqual([{ what: "GC alpha", keep: ["c2:eth0"] }]);
  });

  test("a lock that nobody owns is there: deleted", async () => {
    using node = new GcNode();
    node.record("c1", "alpha");
    mkdirSync(`${node.dataDir}/locks`, { mode: 0o700 });
    writeFileSync(lockPath(node.dataDir, "c1"), "");
    expect(await node.gc()).toBeUndefined();
    expect([await node.left(), readdirSync(`${node.dataDir}/locks`)]).toEqual([
      [],
      [],
    ]);
  });

  test("a living genie begins to work on one meanwhile: it stays", async () => {
    using node = new GcNode((what) => {
      const other = what === "DEL alpha c1" ? "c2" : "c1";
      locks.push(lockNow(node.dataDir, other));
      return 0;
    });
    const locks: (Lock | undefined)[] = [];
    node.record("c1", "alpha");
    node.record("c2", "alpha");
    expect(await node.gc()).toBeUndefined();
    expect(await node.left()).toHaveLength(1);
    expect(node.gcs()[0]?.keep).toEqual([`${(await node.left())[0]}:eth0`]);
    for (const lock of locks) lock?.release();
  });

  test("one disappears meanwhile: no error, and the network gets the others", async () => {
    using node = new GcNode((what) => {
      const other = what === "DEL alpha c1" ? "c2" : "c1";
      if (what.startsWith("DEL"))
        node.records.remove({ containerId: other, ifname: "eth0" });
      return 0;
    });
    node.record("c1", "alpha");
    node.record("c2", "alpha");
    node.record("c3", "alpha");
    expect(await node.gc("c3")).toBeUndefined();
    expect(node.whats()).toHaveLength(2);
    expect([await node.left(), node.gcs()]).toEqual([
      ["c3"],
      [{ what: "GC alpha", keep: ["c3:eth0"] }],
    ]);
  });

  test("its lock disappears between the list of locks and the look at it: no error", async () => {
    using node = new GcNode();
    const path = lockPath(node.dataDir, "c1");
    expect([lockIfLeft(path), await isWorkedOn(node.dataDir, "c1")]).toEqual([
      undefined,
      false,
    ]);
    expect(existsSync(path)).toBe(false);
  });

  test("one cannot be locked: an error, the others are deleted", async () => {
    using node = new GcNode();
    node.record("c1", "alpha");
    node.record("c2", "alpha");
    mkdirSync(`${node.dataDir}/locks/c1`, { recursive: true, mode: 0o700 });
    // Where the directory would be moved.
    mkdirSync(`${node.dataDir}/locks/c1.corrupt/full`, { recursive: true });
    const message = `failed to open lock "${node.dataDir}/locks/c1": directory not empty (ENOTEMPTY)`;
    expect(await node.gc()).toMatchObject({ code: 5, message });
    expect([await node.left(), node.whats()]).toEqual([
      ["c1"],
      ["DEL alpha c2", "GC alpha"],
    ]);
  });
});

test.each(["attachments", "abandoned"])(
  "gc, a temporary file of a killed genie in %s, without a lock: removed",
  async (directory) => {
    using node = new GcNode();
    const path = `${node.dataDir}/${directory}`;
    mkdirSync(path, { recursive: true, mode: 0o700 });
    writeFileSync(`${path}/.c1:eth0.json`, "half a reco");
    expect(await node.gc()).toBeUndefined();
    expect(readdirSync(path)).toEqual([]);
  },
);

describe("gc, records that cannot be read", () => {
  const hashed = "a".repeat(64);
  const foreign = JSON.stringify({
    formatVersion,
    containerId: "c9",
    ifname: "eth0",
    netns: "",
    network: "genie-net",
    time: "",
    bootId: boot,
    uptimeMs: 1,
    path: [],
    attachments: [],
  });

  test.each<[string, string, string]>([
    ["torn", "c1:eth0", "{"],
    ["torn, of a hashed name", hashed, "{"],
    ["of another container than its file", "c1:eth0", foreign],
    ["of a newer boot's garbage", "c1:eth0", "\0\0\0\0"],
  ])(
    "%s: moved aside and told once, then all goes on",
    async (_, name, text) => {
      using node = new GcNode();
      node.record("c2", "alpha");
      const path = node.file(name, text, 61_000);
      expect(await node.gc("c2")).toMatchObject({
        code: 5,
        message: expect.stringContaining("was moved aside"),
      });
      expect([
        existsSync(path),
        readFileSync(`${path}.corrupt`, "utf8"),
      ]).toEqual([false, text]);
      expect(node.gcs()).toEqual([{ what: "GC alpha", keep: ["c2:eth0"] }]);
      expect(await node.gc("c2")).toBeUndefined();
    },
  );

  const longId = "c".repeat(250);
  const longName = new Bun.CryptoHasher("sha256")
    .update(`${longId}:eth0`)
    .digest("hex");

  test.each<[string, string, number, (node: GcNode) => unknown, string[]]>([
    ["younger than a minute", "c1:eth0", 50_000, () => {}, []],
    ["of a container that is valid", "c1:eth0", 61_000, () => {}, ["c1"]],
    ["hashed, of one that is valid", longName, 61_000, () => {}, [longId]],
    [
      "beside another genie network in confDir",
      "c1:eth0",
      61_000,
      (node) => node.network("other-net", "genie"),
      [],
    ],
    [
      "beside a record of another genie network",
      "c1:eth0",
      61_000,
      (node) => node.record("c3", "alpha", { network: "other-net" }),
      [],
    ],
    [
      "of a container that is worked on",
      "c1:eth0",
      61_000,
      (node) => lockNow(node.dataDir, "c1"),
      [],
    ],
  ])(
    "%s: stays, and no network is asked",
    async (_, name, ageMs, also, valid) => {
      using node = new GcNode();
      node.record("c2", "alpha");
      const path = node.file(name, "{", ageMs);
      also(node);
      expect(await node.gc("c2", ...valid)).toMatchObject({
        code: 5,
        message: expect.stringContaining(
          `refusing GC of networks: unreadable attachment record "${name}": `,
        ),
      });
      expect([existsSync(path), node.calls]).toEqual([true, []]);
    },
  );

  test("written again before its turn: stays, and nothing of it is deleted", async () => {
    using node = new GcNode((what) => {
      if (what === "DEL alpha c2") node.record("c1", "beta");
      return 0;
    });
    node.file("c1:eth0", "{", 61_000);
    node.record("c2", "alpha");
    expect(await node.gc()).toBeUndefined();
    expect([await node.left(), node.whats()]).toEqual([
      ["c1"],
      ["DEL alpha c2", "GC alpha"],
    ]);
  });

  test("of a newer genie: left alone however old, and no network is asked", async () => {
    using node = new GcNode();
    const path = node.file(
      "c1:eth0",
      JSON.stringify({ formatVersion: 999 }),
      1e9,
    );
    expect(await node.gc()).toMatchObject({
      code: 11,
      message: expect.stringContaining("has format 999"),
    });
    expect([existsSync(path), node.calls]).toEqual([true, []]);
  });
});

test.each<[config: object, problem: string]>([
  [
    {},
    'refusing GC without a list of valid attachments: "cni.dev/valid-attachments" is missing',
  ],
  [
    { "cni.dev/attachments": [{ containerID: "c1" }] },
    "invalid configuration: cni.dev/attachments.0.ifname: expected a name, got nothing",
  ],
  [
    { "cni.dev/attachments": [{ containerID: "", ifname: "eth0" }] },
    'invalid configuration: cni.dev/attachments.0.containerID: expected a name, got ""',
  ],
])("ValidAttachments, of %j: %s", (config, problem) => {
  expect(() => new ValidAttachments(config)).toThrow(invalidConfig(problem));
});

const c1 = [{ containerID: "c1", ifname: "eth0" }];
const c2 = [{ containerID: "c2", ifname: "eth0" }];
test.each<[valid: unknown, attachments: unknown, expected: string | undefined]>(
  [
    [c1, undefined, "c1"],
    [undefined, c1, "c1"],
    [c1, c2, "c1"],
    [c1, null, "c1"],
    [c1, [], "c1"],
    [null, c1, undefined],
    [[], c1, undefined],
    [null, null, undefined],
    [[], undefined, undefined],
    [undefined, null, undefined],
  ],
)(
  "ValidAttachments, lists %j and %j: %p is valid",
  (valid, other, expected) => {
    const attachments = new ValidAttachments({
      ...(valid !== undefined && { "cni.dev/valid-attachments": valid }),
      ...(other !== undefined && { "cni.dev/attachments": other }),
    });
    const pairs = [...c1, ...c2].filter(({ containerID, ifname }) =>
      attachments.has({ containerId: containerID, ifname }),
    );
    expect(pairs.map(({ containerID }) => containerID)).toEqual(
      expected === undefined ? [] : [expected],
    );
  },
);

describe("gc, networks", () => {
  test("with records of two genie networks, is asked by neither", async () => {
    using node = new GcNode();
    node.record("c1", "alpha");
    node.record("c2", "alpha", { network: "other-net" });
    node.record("c3", "beta");
    expect(await node.gc("c1", "c3")).toBeUndefined();
    expect(node.gcs()).toEqual([{ what: "GC beta", keep: ["c3:eth0"] }]);
  });

  test("that another genie network begins to use meanwhile, is not asked", async () => {
    using node = new GcNode((what) => {
      if (what === "GC alpha")
        node.record("c3", "beta", { network: "other-net", uptimeMs: beganMs });
      return 0;
    });
    node.record("c1", "alpha");
    node.record("c2", "beta", younger);
    expect(await node.gc("c1", "c2")).toBeUndefined();
    expect(node.whats()).toEqual(["GC alpha"]);
  });

  const two = (node: GcNode) => {
    node.network("alpha-net", "alpha");
    node.network("genie-net", "genie");
  };
  test.each<[string, (node: GcNode) => void, boolean]>([
    ["alone in confDir: it is told what the runtime knows", two, true],
    [
      "in confDir under two files: so it is",
      (node) => {
        two(node);
        node.network("zz", "genie", { name: "genie-net" });
      },
      true,
    ],
    [
      "beside another genie network: it is not asked",
      (node) => {
        two(node);
        node.network("other-net", "genie");
      },
      false,
    ],
  ])(
    "the default network without a record, our network %s",
    async (_, setUp, isAsked) => {
      using node = new GcNode();
      setUp(node);
      expect(await node.gc("older")).toBeUndefined();
      expect(node.gcs()).toEqual(
        isAsked ? [{ what: "GC alpha", keep: ["older:eth0"] }] : [],
      );
    },
  );

  test("the default network of another genie network's records, is not asked", async () => {
    using node = new GcNode();
    two(node);
    node.record("c1", "alpha", { network: "other-net" });
    expect(await node.gc("older")).toBeUndefined();
    expect(node.calls).toEqual([]);
  });

  test("newest configuration: of this boot, then of the later time; once for each name", async () => {
    using node = new GcNode();
    const other = { bootId: "another", uptimeMs: 9_000_000 };
    node.record("c1", "alpha", { uptimeMs: 5 }, { mark: "newest" });
    node.record("c2", "alpha", { uptimeMs: 4 }, { mark: "older" });
    node.record("c3", "alpha", other, { mark: "another boot" });
    const later = { ...other, uptimeMs: 1, time: "2026-02-01T00:00:00.000Z" };
    node.record("c4", "beta", later, { mark: "newest" });
    node.record("c5", "beta", other, { mark: "older" });
    expect(await node.gc("c1", "c2", "c3", "c4", "c5")).toBeUndefined();
    expect(node.calls.map(({ what, mark }) => [what, mark])).toEqual([
      ["GC alpha", "newest"],
      ["GC beta", "newest"],
    ]);
  });

  test.each([{ cniVersion: "1.0.0" }, { disableGC: true }])(
    "its newest configuration has none: %p",
    async (conf) => {
      using node = new GcNode();
      node.record("c1", "alpha");
      node.record("c2", "alpha", younger, conf);
      expect(await node.gc("c1", "c2")).toBeUndefined();
      expect(node.calls).toEqual([]);
    },
  );

  test("written while GC deletes another: the network keeps it", async () => {
    using node = new GcNode((what) => {
      if (what === "DEL alpha c1")
        node.record("c2", "alpha", { uptimeMs: beganMs + 1 });
      return 0;
    });
    node.record("c1", "alpha");
    expect(await node.gc()).toBeUndefined();
    expect(node.whats()).toEqual(["DEL alpha c1", "GC alpha"]);
    expect(node.gcs()).toEqual([{ what: "GC alpha", keep: ["c2:eth0"] }]);
    expect(await node.left()).toEqual(["c2"]);
  });

  test("written during the GC of the first network: the second keeps it", async () => {
    using node = new GcNode((what) => {
      if (what === "GC alpha")
        node.record("c3", "beta", { uptimeMs: beganMs + 1 });
      return 0;
    });
    node.record("c1", "alpha");
    node.record("c2", "beta", younger);
    expect(await node.gc("c1", "c2")).toBeUndefined();
    expect(node.gcs()).toEqual([
      { what: "GC alpha", keep: ["c1:eth0"] },
      { what: "GC beta", keep: ["c2:eth0", "c3:eth0"] },
    ]);
  });

  test("read once where nothing changes, and again after a change", async () => {
    using node = new GcNode((what) => {
      if (what === "GC beta")
        node.record("c4", "gamma", { uptimeMs: beganMs + 1 });
      return 0;
    });
    node.record("c1", "alpha");
    node.record("c2", "beta", younger);
    node.record("c3", "gamma", { ...younger, uptimeMs: 3 });
    // As long after the last pod as GC comes on a node.
    const before = new Date(Date.now() - 60_000);
    utimesSync(`${node.dataDir}/attachments`, before, before);
    const reads = spyOn(RecordDirectory.prototype, "all");
    try {
      expect(await node.gc("c1", "c2", "c3")).toBeUndefined();
      expect(reads).toHaveBeenCalledTimes(2);
    } finally {
      reads.mockRestore();
    }
    expect(node.gcs().at(-1)).toEqual({
      what: "GC gamma",
      keep: ["c3:eth0", "c4:eth0"],
    });
  });
});

describe("gc, its 25 seconds", () => {
  const hang = (verb: string) => (what: string) =>
    what.startsWith(verb) ? Number.POSITIVE_INFINITY : 0;

  test("records that hang have half of them, each its share; networks have the rest", async () => {
    using node = new GcNode(hang("DEL"));
    node.record("c1", "alpha");
    node.record("c2", "alpha");
    expect(await node.gc()).toMatchObject({ code: 11 });
    const [first, second, network] = node.calls.map(({ ms }) => Math.round(ms));
    expect([first, second]).toEqual([6250, 6250]);
    expect(network).toBe(12_500);
    expect(await node.left()).toEqual(["c1", "c2"]);
  });

  test("many records that hang: five seconds each while they last, the others are not begun", async () => {
    using node = new GcNode(hang("DEL"));
    for (const id of ["c1", "c2", "c3", "c4", "c5"]) node.record(id, "alpha");
    expect(await node.gc()).toMatchObject({
      code: 11,
      details: expect.stringContaining("no time left for 2 stale records"),
    });
    expect(node.calls.map(({ ms }) => Math.round(ms))).toEqual([
      5000, 5000, 2500, 12_500,
    ]);
    // Nothing of those that were not begun is valid either.
    expect(node.gcs()).toEqual([{ what: "GC alpha", keep: [] }]);
  });

  test("records whose DELs have failed come last, so that every GC makes progress", async () => {
    using node = new GcNode(hang("DEL"));
    const failures = (count: number) => ({
      failures: { count, bootId: boot, uptimeMs: beganMs - 1 },
    });
    node.record("c1", "alpha", failures(2));
    node.record("c2", "alpha", failures(1));
    node.record("c3", "alpha");
    expect(await node.gc()).toMatchObject({ code: 11 });
    expect(node.whats().slice(0, 3)).toEqual([
      "DEL alpha c3",
      "DEL alpha c2",
      "DEL alpha c1",
    ]);
  });

  test("a quick record leaves its time to the others", async () => {
    using node = new GcNode();
    node.record("c1", "alpha");
    node.record("c2", "beta", younger);
    expect(await node.gc()).toBeUndefined();
    // Records come in any order, networks in that of their records' age.
    expect(node.calls.map(({ ms }) => ms)).toEqual([
      6250, 12_500, 12_500, 25_000,
    ]);
    expect(node.whats().slice(2)).toEqual(["GC alpha", "GC beta"]);
  });

  test("a network that hangs leaves the next its share", async () => {
    using node = new GcNode(hang("GC alpha"));
    node.record("c1", "alpha");
    node.record("c2", "beta", younger);
    expect(await node.gc("c1", "c2")).toMatchObject({ code: 11 });
    expect(node.calls.map(({ what, ms }) => `${what} ${ms}`)).toEqual([
      "GC alpha 12500",
      "GC beta 12500",
    ]);
    expect(await node.left()).toEqual(["c1", "c2"]);
  });
});
