/** `genie gc`: it says "deleted" only of what it deleted (state.md "CHECK, GC, STATUS"). */
import { expect, spyOn, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { collectGone } from "../../../lib/cli/records/collection.ts";
import { nodeContext } from "../../../lib/cli/node/node-context.ts";
import { RecordDirectory } from "../../../lib/state/record-directory.ts";
import { lockNow } from "../../support/lock.ts";
import { NodeDirectory } from "../fixtures.ts";

/** A node with a record of an earlier boot, whose plugin writes down that it was executed. */
function nodeWithOld() {
  const node = new NodeDirectory();
  const executed = join(node.root, "executed");
  node.plugin("ptp", `#!/bin/sh\ncat >/dev/null\ntouch ${executed}\n`);
  const old = node.record({ bootId: "earlier" });
  const context = nodeContext(node, {});
  // A record of an earlier boot does not wait until its namespace has been gone for a while.
  const outcome = async () => {
    const { deleted, abandoned, waiting, failed } = await collectGone(
      context,
      60_000,
    );
    return {
      deleted: deleted.length,
      abandoned: abandoned.length,
      waiting: waiting.length,
      failed,
      executed: existsSync(executed),
      left: await node.records(),
    };
  };
  return {
    node,
    old,
    context,
    outcome,
    [Symbol.dispose]: () => node[Symbol.dispose](),
  };
}

const none = { deleted: 0, abandoned: 0, waiting: 0, failed: [] };

test("collectGone, a record of an earlier boot is deleted", async () => {
  using prepared = nodeWithOld();
  expect(await prepared.outcome()).toEqual({
    ...none,
    deleted: 1,
    executed: true,
    left: [],
  });
});

test("collectGone, the container was attached again since its record was read: it stays", async () => {
  using prepared = nodeWithOld();
  const { node, old } = prepared;
  using all = spyOn(RecordDirectory.prototype, "all");
  all.mockImplementationOnce(async function* () {
    yield { name: "c1:eth0", record: old };
  });
  node.record({ uptimeMs: old.uptimeMs + 1 });
  expect(await prepared.outcome()).toEqual({
    ...none,
    executed: false,
    left: ["c1"],
  });
});

test("collectGone, another process deleted the record since it was read: not reported as deleted", async () => {
  using prepared = nodeWithOld();
  const { old, context } = prepared;
  using all = spyOn(RecordDirectory.prototype, "all");
  all.mockImplementationOnce(async function* () {
    context.records.remove(old);
    yield { name: "c1:eth0", record: old };
  });
  expect(await prepared.outcome()).toEqual({
    ...none,
    executed: false,
    left: [],
  });
});

test("collectGone, a living genie works on the container: it waits for the next run", async () => {
  using prepared = nodeWithOld();
  const lock = lockNow(prepared.node.dataDir, "c1");
  expect(await prepared.outcome()).toEqual({
    ...none,
    waiting: 1,
    executed: false,
    left: ["c1"],
  });
  lock?.release();
  expect(await prepared.outcome()).toMatchObject({ deleted: 1, waiting: 0 });
});

test("collectGone, a namespace is gone and a living genie works on the container: noted by the next run", async () => {
  using node = new NodeDirectory();
  const { dataDir } = node;
  const context = nodeContext(node, {});
  const bootId = context.dependencies.bootId();
  const record = node.record({ bootId, netns: join(node.root, "gone") });
  const graceMs = 60_000;
  const noted = () => new RecordDirectory(dataDir).goneSince(record);
  const lock = lockNow(dataDir, record.containerId);
  expect(await collectGone(context, graceMs)).toMatchObject({
    waiting: [record],
  });
  expect(noted()).toBeUndefined();
  lock?.release();
  expect(await collectGone(context, graceMs)).toMatchObject({
    waiting: [record],
  });
  expect(noted()).toBeNumber();
});
