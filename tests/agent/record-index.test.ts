/** Which record is a pod's: of this boot, the newest, by UID or hash. */
import type { V1Pod } from "@kubernetes/client-node";
import { expect, spyOn, test } from "bun:test";
import { readFileSync, utimesSync, writeFileSync } from "node:fs";
import { RecordIndex } from "../../lib/agent/record-index.ts";
import type { Context } from "../../lib/attach/context.ts";
import { RecordDirectory } from "../../lib/state/record-directory.ts";
import { type AttachmentRecord, RecordError } from "../../lib/state/record.ts";
import { Records } from "../../lib/state/records.ts";
import { exampleRecord } from "../support/records.ts";
import { temporaryDirectory } from "../support/delegate.ts";

const pod: V1Pod = {
  metadata: {
    namespace: "ns",
    name: "p",
    uid: "u",
    annotations: { "kubernetes.io/config.hash": "0123" },
  },
};

const { bootId } = exampleRecord;

function recordOf(
  containerId: string,
  more: Partial<AttachmentRecord> = {},
): AttachmentRecord {
  return { ...exampleRecord, containerId, ...more };
}

function contextOf(dataDir: string, records: Records): Context {
  const dependencies = { bootId: () => bootId };
  return { records, dependencies, config: { dataDir } } as unknown as Context;
}

const withUid = (uid: string) => ({
  pod: { namespace: "ns", name: "p", uid },
});

test.each<[string, AttachmentRecord[], string | undefined]>([
  ["none", [], undefined],
  ["by UID", [recordOf("a")], "a"],
  ["of a static pod, by its hash", [recordOf("a", withUid("0123"))], "a"],
  ["a former pod of that name", [recordOf("a", withUid("old"))], undefined],
  ["without a UID, by name", [recordOf("a", withUid(""))], "a"],
  [
    "another pod, whose UID is in its annotation",
    [recordOf("a", { pod: { namespace: "ns", name: "other", uid: "0123" } })],
    undefined,
  ],
  [
    "a pod of another namespace, whose UID is in its annotation",
    [recordOf("a", { pod: { namespace: "other", name: "p", uid: "0123" } })],
    undefined,
  ],
  ["of an earlier boot", [recordOf("a", { bootId: "earlier" })], undefined],
  [
    "the newest",
    [recordOf("a", { uptimeMs: 5 }), recordOf("b", { uptimeMs: 7 })],
    "b",
  ],
])("RecordIndex.newest, %s", async (_, all, expected) => {
  using directory = temporaryDirectory();
  const records = new Records(directory.path);
  for (const record of all) records.write(record).close();
  const index = new RecordIndex(contextOf(directory.path, records));
  expect((await index.newest(pod))?.containerId).toBe(expected);
});

test("RecordIndex, sees what comes, changes and goes", async () => {
  using directory = temporaryDirectory();
  const records = new Records(directory.path);
  const index = new RecordIndex(contextOf(directory.path, records));
  const record = recordOf("a");
  records.write(record).close();
  const first = await index.newest(pod);
  expect(await index.newest(pod)).toBe(first);
  records.write({ ...record, attachments: [] }).close();
  const second = await index.newest(pod);
  expect(second?.version).not.toBe(first?.version);
  expect(second && (await index.read(second))?.attachments).toEqual([]);
  // Another ADD of the same container is another record.
  records.write({ ...record, uptimeMs: 9 }).close();
  expect(second && (await index.read(second))).toBeUndefined();
  records.remove(record);
  expect(await index.newest(pod)).toBeUndefined();
});

test("RecordIndex, asked by several at once: each waits until the records are read", async () => {
  using directory = temporaryDirectory();
  const records = new Records(directory.path);
  for (const name of ["a", "b", "c"])
    records.write(recordOf(name, withUid(name))).close();
  // Long ago: then an index that was read is the newest.
  utimesSync(`${directory.path}/attachments`, 1, 1);
  const index = new RecordIndex(contextOf(directory.path, records));
  const uids = ["a", "b", "c"];
  const found = await Promise.all(
    uids.map((uid) =>
      index.newest({ metadata: { namespace: "ns", name: "p", uid } }),
    ),
  );
  expect(found.map((one) => one?.containerId)).toEqual(uids);
});

test("RecordIndex, a record of a newer genie: told once, and no pod's", async () => {
  using directory = temporaryDirectory();
  const records = new Records(directory.path);
  records.write(recordOf("a")).close();
  const path = `${directory.path}/attachments/a:eth0.json`;
  const record: unknown = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(
    path,
    JSON.stringify(Object.assign({}, record, { formatVersion: 9 })),
  );
  const told: string[] = [];
  const context = contextOf(directory.path, records);
  const index = new RecordIndex(context, (name, error) => {
    told.push(`${name}: ${String(error)}`);
  });
  expect(await index.newest(pod)).toBeUndefined();
  await index.newest(pod);
  expect(told).toHaveLength(1);
  expect(told[0]).toMatch(/^a:eth0: .*has format 9/);
});

test.each(["readNamed", "versionOf"] as const)(
  "RecordIndex, too few descriptors at %s: the records are read later",
  async (method) => {
    using directory = temporaryDirectory();
    const records = new Records(directory.path);
    for (const name of ["a", "b"])
      records.write(recordOf(name, withUid(name))).close();
    // Long ago: the directory itself gives no reason to read it again.
    utimesSync(`${directory.path}/attachments`, 1, 1);
    const told: string[] = [];
    const index = new RecordIndex(
      contextOf(directory.path, records),
      (name, error) => told.push(`${name}: ${String(error)}`),
    );
    const succeed = RecordDirectory.prototype[method];
    using failing = spyOn(RecordDirectory.prototype, method);
    failing.mockImplementationOnce(succeed).mockImplementationOnce(() => {
      throw new RecordError("too many open files", undefined);
    });
    await index.all().catch(() => {});
    const all = await index.all();
    expect(all.map(({ containerId }) => containerId).toSorted()).toEqual([
      "a",
      "b",
    ]);
    expect(told).toHaveLength(method === "readNamed" ? 1 : 0);
  },
);
