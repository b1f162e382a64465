/** state.md "Never stuck, never forgotten": when a DEL that fails is the last one. */
import { describe, expect, test } from "bun:test";
import { abandonedRecords, settle } from "../../lib/attach/abandoned.ts";
import type { Outcome } from "../../lib/attach/delete-attachments.ts";
import { type Context, createContext } from "../../lib/attach/context.ts";
import {
  type AttachmentRecord,
  type DeleteFailures,
  formatVersion,
} from "../../lib/attach/record.ts";
import { systemDependencies } from "../../lib/attach/dependencies.ts";
import { parseConf } from "../../lib/cni/conflist.ts";
import { CniError } from "../../lib/cni/error.ts";
import type { Attachment } from "../../lib/select/attachment.ts";
import { temporaryDirectory } from "../support/delegate.ts";

const boot = "this-boot";
const now = 10_000_000;

function attachment(ifname: string): Attachment {
  const list = parseConf({ name: `net-${ifname}`, type: "a" });
  return { list, ifname, args: "", capabilityArgs: {} };
}

class Deleting implements Disposable {
  readonly #directory = temporaryDirectory();
  readonly context: Context;
  readonly record: AttachmentRecord;

  constructor({
    failures,
    completed = ["eth0", "net1"],
    deleteGiveUp = 300,
    uptimeMs = 1000,
  }: {
    failures?: DeleteFailures;
    completed?: string[];
    deleteGiveUp?: number;
    uptimeMs?: number;
  }) {
    this.context = createContext(
      {
        command: "DEL",
        containerId: "c1",
        netns: "",
        ifname: "eth0",
        args: "",
        path: [],
        cniVersion: "1.1.0",
        config: { name: "g", dataDir: this.#directory.path, deleteGiveUp },
      },
      {
        ...systemDependencies({}),
        stderr: () => {},
        bootId: () => boot,
        uptimeMs: () => now,
      },
    );
    this.record = {
      formatVersion,
      containerId: "c1",
      ifname: "eth0",
      netns: "",
      network: "g",
      time: "2026-01-01T00:00:00.000Z",
      bootId: boot,
      uptimeMs,
      path: [],
      attachments: [attachment("eth0"), attachment("net1")],
      failures,
    };
    const { records } = this.context;
    records.write(this.record).close();
    const isCompleted = ({ ifname }: Attachment) => completed.includes(ifname);
    records.writeResults(
      this.record,
      this.record.attachments.map((one) =>
        isCompleted(one) ? { cniVersion: "1.0.0" } : undefined,
      ),
    );
  }

  /** After a DEL in which these failed; `!` before a name: it was not reached. */
  settle(...ifnames: string[]) {
    const { context, record } = this;
    const failures = ifnames.map((name) => ({
      ifname: name.replace("!", ""),
      reached: !name.startsWith("!"),
    }));
    const remaining = record.attachments.filter((one) =>
      failures.some(({ ifname }) => ifname === one.ifname),
    );
    const outcome: Outcome = {
      remaining,
      failures: remaining.map((one) => ({
        attachment: one,
        error: new CniError(42, `no ${one.ifname}`),
        reached: failures.some(
          ({ ifname, reached }) => ifname === one.ifname && reached,
        ),
      })),
    };
    let error: unknown;
    try {
      settle(context, record, outcome);
    } catch (thrown) {
      error = CniError.from(thrown).message;
    }
    const names = (found: AttachmentRecord | undefined) =>
      found?.attachments.map(({ ifname }) => ifname) ?? [];
    const left = context.records.read("c1", "eth0");
    const kept = [...abandonedRecords(context.config).all()];
    return {
      error,
      left: names(left),
      count: left?.failures?.count,
      abandoned: kept.flatMap((entry) => names(entry.record)),
    };
  }

  [Symbol.dispose](): void {
    this.#directory[Symbol.dispose]();
  }
}

const since = (ms: number, count = 2, bootId = boot): DeleteFailures => ({
  count,
  bootId,
  uptimeMs: now - ms,
});

describe("settle, ADD completed", () => {
  test.each<[string, DeleteFailures | undefined, number, boolean]>([
    ["the first failure", undefined, 300, false],
    ["the second, long after the first", since(1e6, 1), 300, false],
    ["the third, just in time", since(300_000), 300, true],
    ["the third, a moment too soon", since(299_999), 300, false],
    ["the tenth, too soon", since(1000, 9), 300, false],
    ["the third, never to give up", since(1e6), 0, false],
    [
      "the third, of another boot: as old as this one",
      since(0, 2, "x"),
      10_000,
      true,
    ],
    ["the third, this boot is not that old", since(0, 2, "x"), 10_001, false],
  ])("%s", (_, failures, deleteGiveUp, gaveUp) => {
    using deleting = new Deleting({
      deleteGiveUp,
      ...(failures && { failures }),
    });
    expect(deleting.settle("net1")).toEqual(
      gaveUp
        ? { error: undefined, left: [], count: undefined, abandoned: ["net1"] }
        : {
            error: "[net-net1] no net1",
            left: ["net1"],
            count: (failures?.count ?? 0) + 1,
            abandoned: [],
          },
    );
  });

  test("what no time was left for has not failed", () => {
    using deleting = new Deleting({});
    expect(deleting.settle("!net1")).toEqual({
      error: "[net-net1] no net1",
      left: ["net1"],
      count: undefined,
      abandoned: [],
    });
  });
});

describe("settle, ADD did not complete", () => {
  test("one failure is enough, whatever deleteGiveUp is", () => {
    using deleting = new Deleting({ completed: [], deleteGiveUp: 0 });
    expect(deleting.settle("eth0", "net1")).toEqual({
      error: undefined,
      left: [],
      count: undefined,
      abandoned: ["eth0", "net1"],
    });
  });

  test("what no time was left for is tried by the next DEL, and alone", () => {
    using deleting = new Deleting({ completed: [] });
    expect(deleting.settle("!eth0", "net1")).toEqual({
      error: "[net-eth0] no eth0",
      left: ["eth0"],
      count: undefined,
      abandoned: ["net1"],
    });
  });

  test("beside a completed one that fails", () => {
    using deleting = new Deleting({ completed: ["eth0"] });
    expect(deleting.settle("eth0", "net1")).toEqual({
      error: "[net-eth0] no eth0",
      left: ["eth0"],
      count: 1,
      abandoned: ["net1"],
    });
  });
});
