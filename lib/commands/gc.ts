/**
 * `genie gc`: for runtimes that never call GC, as containerd (state.md "CHECK,
 * GC, STATUS"). Deletes every record of an earlier boot, and every one whose
 * namespace has been gone for a while.
 */
import { deleteStale, removeLitter } from "../attach/gc.ts";
import { recordedNetns } from "../attach/netns.ts";
import type { Operation } from "../attach/operation.ts";
import type { AttachmentRecord } from "../attach/record.ts";
import { Deadline } from "../cni/deadline.ts";
import { messageOf } from "../cni/error.ts";
import type { Command } from "./command.ts";
import { folderOptions, foldersOf } from "./folders.ts";
import { nodeOperation } from "./node.ts";

export const gc: Command = {
  options: {
    ...folderOptions,
    grace: {
      value: "SECONDS",
      about: "how long a namespace must have been gone (300)",
    },
  },
  async run(input, { env, stdout }) {
    const grace = input.seconds("grace", 300);
    const operation = nodeOperation(foldersOf(input), env);
    const { deleted, waiting, failed } = await collect(operation, grace * 1000);
    const lines = [
      ...deleted.map(
        ({ containerId, ifname }) => `deleted ${containerId} ${ifname}`,
      ),
      ...failed.map(({ what, error }) => `failed ${what}: ${error}`),
      `${deleted.length} deleted, ${waiting.length} waiting, ${failed.length} failed`,
    ];
    await stdout(`${lines.join("\n")}\n`);
    return failed.length === 0 ? 0 : 1;
  },
};

export interface Collected {
  deleted: AttachmentRecord[];
  /** Without a namespace, but not for long enough yet. */
  waiting: AttachmentRecord[];
  failed: { what: string; error: string }[];
}

/** Milliseconds for one record. */
const recordMs = 50_000;

/** `graceMs`: how long a namespace must have been gone. */
export async function collect(
  operation: Operation,
  graceMs: number,
): Promise<Collected> {
  const collected: Collected = { deleted: [], waiting: [], failed: [] };
  for (const { name, record, error: unreadable } of operation.records.all()) {
    if (!record) {
      collected.failed.push({ what: name, error: messageOf(unreadable) });
      continue;
    }
    try {
      const verdict = judge(operation, record, graceMs);
      if (verdict === "waiting") collected.waiting.push(record);
      if (verdict !== "stale") continue;
      await deleteStale(
        operation,
        record,
        new Deadline(recordMs, operation.world.clock),
      );
      collected.deleted.push(record);
    } catch (error) {
      const what = `${record.containerId}:${record.ifname}`;
      collected.failed.push({ what, error: messageOf(error) });
    }
  }
  for (const error of removeLitter(operation)) {
    collected.failed.push({ what: "locks", error: error.message });
  }
  return collected;
}

/** A namespace that is seen to be gone is written down, so that the next run knows for how long. */
function judge(
  { world, records }: Operation,
  record: AttachmentRecord,
  graceMs: number,
): "live" | "waiting" | "stale" {
  const bootId = world.bootId();
  if (record.bootId !== bootId) return "stale";
  if (recordedNetns(record, bootId) !== "") {
    records.forgetGone(record);
    return "live";
  }
  const now = world.uptimeMs();
  const since = records.goneSince(record) ?? now;
  if (now - since >= graceMs) return "stale";
  records.noteGone(record, since);
  return "waiting";
}
