/**
 * Deletes records of an earlier boot and records whose namespace has been gone for a
 * while (state.md "CHECK, GC, STATUS").
 */
import type { Context } from "../../attach/context.ts";
import {
  removeOrphanedFiles,
  deleteStale,
} from "../../attach/gc/stale-records.ts";
import { Deadline } from "../../linux/deadline.ts";
import { messageOf } from "../../linux/errno.ts";
import { recordedNetns } from "../../linux/netns.ts";
import { tryWithContainerLock } from "../../state/lock.ts";
import { recordDirectory } from "../../state/record-directory.ts";
import type { AttachmentRecord } from "../../state/record.ts";
import type { Terminal } from "../command/terminal.ts";

export interface Collection {
  deleted: AttachmentRecord[];
  /** Abandoned by this run: `genie list --abandoned`. */
  abandoned: AttachmentRecord[];
  /** Its namespace has not been gone for long enough, or another genie works on it. */
  waiting: AttachmentRecord[];
  failed: { what: string; error: string }[];
}

/** A line for each record that was not left as it was. */
export function collectionLines({
  deleted,
  abandoned,
  failed,
}: Collection): string[] {
  const named = (word: string, records: readonly AttachmentRecord[]) =>
    records.map(
      ({ containerId, ifname }) => `${word} ${containerId} ${ifname}`,
    );
  return [
    ...named("deleted", deleted),
    ...named("abandoned", abandoned),
    ...failed.map(({ what, error }) => `failed ${what}: ${error}`),
  ];
}

/** Milliseconds for one record. */
const recordMs = 50_000;

/** `graceMs`: how long a namespace must have been gone. */
export async function collectGone(
  context: Context,
  graceMs: number,
  progress: Terminal["progress"] = () => {},
): Promise<Collection> {
  const collected: Collection = {
    deleted: [],
    abandoned: [],
    waiting: [],
    failed: [],
  };
  for await (const { name, record, error: unreadable } of recordDirectory(
    context,
  ).all()) {
    if (!record) {
      collected.failed.push({ what: name, error: messageOf(unreadable) });
      continue;
    }
    try {
      const deadline = new Deadline(recordMs, context.dependencies.clock);
      const verdict = await judge(context, record, graceMs, deadline);
      if (verdict === "waiting") collected.waiting.push(record);
      if (verdict !== "stale") continue;
      progress(`deleting ${record.containerId.slice(0, 12)} ${record.ifname}`);
      const outcome = await deleteStale(context, record, deadline);
      if (outcome === "busy") collected.waiting.push(record);
      else if (outcome === "kept")
        throw new Error("the record cannot be removed or moved");
      else if (outcome !== "gone") collected[outcome].push(record);
    } catch (error) {
      const what = `${record.containerId}:${record.ifname}`;
      collected.failed.push({ what, error: messageOf(error) });
    }
  }
  const deadline = new Deadline(recordMs, context.dependencies.clock);
  for (const error of await removeOrphanedFiles(context, deadline)) {
    collected.failed.push({ what: "locks", error: error.message });
  }
  return collected;
}

/** Notes when a namespace was first seen gone, for the next run. */
async function judge(
  context: Context,
  record: AttachmentRecord,
  graceMs: number,
  deadline: Deadline,
): Promise<"live" | "waiting" | "stale"> {
  const { dependencies } = context;
  const records = recordDirectory(context);
  const bootId = dependencies.bootId();
  if (record.bootId !== bootId) return "stale";
  const noted = records.goneSince(record);
  if (recordedNetns(record, bootId) !== "") {
    if (noted !== undefined) records.forgetGone(record);
    return "live";
  }
  const now = dependencies.uptimeMs();
  const since = noted ?? now;
  if (now - since >= graceMs) return "stale";
  if (noted === undefined) {
    const { containerId } = record;
    // Without the lock a DEL or a GC could remove what is being written.
    await tryWithContainerLock(context, containerId, deadline, async () => {
      if (records.has(record)) records.noteGone(record, since);
    });
  }
  return "waiting";
}
