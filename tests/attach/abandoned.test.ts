/** state.md "Never stuck, never forgotten": when a DEL that fails is the last one; a late DEL takes nothing from a new pod. */
import { attachmentOf, recordOf, resultsOf } from "../support/records.ts";
import { describe, expect, spyOn, test } from "bun:test";
import { retryOrGiveUp } from "../../lib/attach/abandoned/failed-delete.ts";
import type { Context } from "../../lib/attach/context.ts";
import type { DeleteOutcome } from "../../lib/attach/delete-attachments.ts";
import { LivingRecords } from "../../lib/attach/abandoned/living-records.ts";
import { parseConf } from "../../lib/cni/conflist.ts";
import { CniError } from "../../lib/cni/error.ts";
import type { Attachment } from "../../lib/select/attachment.ts";
import {
  RecordDirectory,
  abandonedRecords,
} from "../../lib/state/record-directory.ts";
import type {
  AttachmentRecord,
  DeleteFailures,
} from "../../lib/state/record.ts";
import { temporaryDirectory } from "../support/delegate.ts";
import { contextOf } from "../support/context.ts";

const boot = "this-boot";
const now = 10_000_000;

const attachment = (ifname: string) => attachmentOf(`net-${ifname}`, ifname);

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
    const { path: dataDir } = this.#directory;
    this.context = contextOf(
      { command: "DEL", config: { name: "g", dataDir, deleteGiveUp } },
      { stderr: () => {}, bootId: () => boot, uptimeMs: () => now },
    );
    this.record = recordOf("c1", {
      bootId: boot,
      uptimeMs,
      attachments: [attachment("eth0"), attachment("net1")],
      failures,
    });
    const { records } = this.context;
    records.write(this.record).close();
    const isCompleted = ({ ifname }: Attachment) => completed.includes(ifname);
    const results = this.record.attachments.map((one) =>
      isCompleted(one) ? { cniVersion: "1.0.0" as const } : undefined,
    );
    records.writeResults(this.record, resultsOf(this.record, results));
  }

  /** After a DEL in which these failed; `!` before a name: it was not reached. */
  async retryOrGiveUp(...ifnames: string[]) {
    const { context, record } = this;
    const failures = ifnames.map((name) => ({
      ifname: name.replace("!", ""),
      reached: !name.startsWith("!"),
    }));
    const remaining = record.attachments.filter((one) =>
      failures.some(({ ifname }) => ifname === one.ifname),
    );
    const outcome: DeleteOutcome = {
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
      const { hasCompleted } = await context.records.readResults(record);
      await retryOrGiveUp(context, record, outcome, hasCompleted);
    } catch (thrown) {
      error = CniError.from(thrown).message;
    }
    const names = (found: AttachmentRecord | undefined) =>
      found?.attachments.map(({ ifname }) => ifname) ?? [];
    const left = await context.records.read(record);
    const kept = await Array.fromAsync(abandonedRecords(context).all());
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

describe("retryOrGiveUp, ADD completed", () => {
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
  ])("%s", async (_, failures, deleteGiveUp, gaveUp) => {
    using deleting = new Deleting({
      deleteGiveUp,
      ...(failures && { failures }),
    });
    expect(await deleting.retryOrGiveUp("net1")).toEqual(
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

  test("an attachment that was not reached has not failed", async () => {
    using deleting = new Deleting({});
    expect(await deleting.retryOrGiveUp("!net1")).toEqual({
      error: "[net-net1] no net1",
      left: ["net1"],
      count: undefined,
      abandoned: [],
    });
  });
});

describe("retryOrGiveUp, the record cannot be rewritten: its age counts", () => {
  const problem = new Error("no space left on device");

  test.each<[string, Partial<AttachmentRecord>, number, boolean]>([
    ["old enough", { uptimeMs: now - 300_000 }, 300, true],
    ["too young", { uptimeMs: now - 299_999 }, 300, false],
    ["of another boot: as old as this one", { bootId: "x" }, 10_000, true],
    ["this boot is not that old", { bootId: "x" }, 10_001, false],
    ["never to give up", {}, 0, false],
  ])("%s", async (_, added, deleteGiveUp, gaveUp) => {
    using deleting = new Deleting({ deleteGiveUp });
    Object.assign(deleting.record, added);
    using write = spyOn(deleting.context.records, "write");
    write.mockImplementation(() => {
      throw problem;
    });
    const { error, abandoned } = await deleting.retryOrGiveUp("net1");
    expect([error, abandoned]).toEqual(
      gaveUp ? [undefined, ["net1"]] : ["[net-net1] no net1", []],
    );
  });
});

describe("retryOrGiveUp, ADD did not complete", () => {
  test("one failure is enough, whatever deleteGiveUp is", async () => {
    using deleting = new Deleting({ completed: [], deleteGiveUp: 0 });
    expect(await deleting.retryOrGiveUp("eth0", "net1")).toEqual({
      error: undefined,
      left: [],
      count: undefined,
      abandoned: ["eth0", "net1"],
    });
  });

  test("an attachment that was not reached is deleted by the next DEL, alone", async () => {
    using deleting = new Deleting({ completed: [] });
    expect(await deleting.retryOrGiveUp("!eth0", "net1")).toEqual({
      error: "[net-eth0] no eth0",
      left: ["eth0"],
      count: undefined,
      abandoned: ["net1"],
    });
  });

  test("beside a completed one that fails", async () => {
    using deleting = new Deleting({ completed: ["eth0"] });
    expect(await deleting.retryOrGiveUp("eth0", "net1")).toEqual({
      error: "[net-eth0] no eth0",
      left: ["eth0"],
      count: 1,
      abandoned: ["net1"],
    });
  });
});

/** Of a container that has the interface net1. */
function podRecord(
  containerId: string,
  pod: string | undefined,
  conf: Record<string, unknown>,
  capabilityArgs: Record<string, unknown> = {},
): AttachmentRecord {
  const list = parseConf({ name: "net", type: "a", ...conf });
  return recordOf(containerId, {
    pod:
      pod === undefined
        ? undefined
        : { namespace: "shop", name: pod, uid: containerId },
    attachments: [attachmentOf("net", "net1", { list, capabilityArgs })],
  });
}

const abandoned = podRecord(
  "old",
  "web",
  { name: "net", device: "ens5" },
  { deviceID: "0000:03:02.1" },
);

test.each<[string | undefined, string, AttachmentRecord]>([
  [
    "pod shop/web has network net again",
    "the same pod and network",
    podRecord("new", "web", {}),
  ],
  [
    undefined,
    "the same pod on another network",
    podRecord("new", "web", { name: "x" }),
  ],
  [undefined, "another pod on the same network", podRecord("new", "other", {})],
  [undefined, "no pod", podRecord("new", undefined, {})],
  [
    "device ens5 is container new's now",
    "the same device in the configuration",
    podRecord("new", "other", { name: "x", device: "ens5" }),
  ],
  [
    "device 0000:03:02.1 is container new's now",
    "the same device as an argument",
    podRecord("new", "other", { name: "x" }, { deviceID: "0000:03:02.1" }),
  ],
  [
    "device 0000:03:02.1 is container new's now",
    "the same device by another key",
    podRecord("new", "other", { name: "x", pciBusID: "0000:03:02.1" }),
  ],
  [
    undefined,
    "another device",
    podRecord("new", "other", { name: "x", device: "ens6" }),
  ],
  [
    "container old is attached again",
    "the same container",
    podRecord("old", "other", { name: "x" }),
  ],
])("LivingRecords.claimOf, is %p for %s", async (owner, _, living) => {
  using directory = temporaryDirectory();
  const records = new RecordDirectory(directory.path);
  records.write(living).close();
  const all = new LivingRecords(records);
  await all.refresh();
  const [late] = abandoned.attachments;
  expect(late && all.claimOf(abandoned, late)).toBe(owner);
});

test("LivingRecords.refresh, reads new and changed records, forgets removed ones", async () => {
  using directory = temporaryDirectory();
  const records = new RecordDirectory(directory.path);
  const all = new LivingRecords(records);
  const [late] = abandoned.attachments;
  const owner = async () => {
    await all.refresh();
    return late && all.claimOf(abandoned, late);
  };
  const living = podRecord("new", "web", {});
  const seen = [await owner()];
  // A running pod gets the network later.
  records.write({ ...living, attachments: [] }).close();
  seen.push(await owner());
  records.write(living).close();
  seen.push(await owner());
  records.remove(living);
  seen.push(await owner());
  expect(seen).toEqual([
    undefined,
    undefined,
    "pod shop/web has network net again",
    undefined,
  ]);
});
