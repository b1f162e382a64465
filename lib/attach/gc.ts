/**
 * GC: deletes the records that the runtime no longer knows, then sends every network in
 * use the list of its valid attachments (state.md "CHECK, GC, STATUS").
 */
import { throwFirst } from "../cni/network-upkeep.ts";
import type { Deadline } from "../linux/deadline.ts";
import { messageOf } from "../linux/errno.ts";
import { requireOwnDirectory } from "../linux/own-files.ts";
import {
  type RecordEntry,
  abandonedRecords,
} from "../state/record-directory.ts";
import { retryAbandoned } from "./abandoned/retry-abandoned.ts";
import { type Context, deadlineOf, isNested } from "./context.ts";
import { gcNetworks, isOnlyGenieNetwork } from "./gc/gc-networks.ts";
import { RecordSurveyor } from "./gc/record-survey.ts";
import {
  deleteStaleRecords,
  deleteUnreadableRecords,
  removeOrphanedFiles,
  staleRecords,
} from "./gc/stale-records.ts";
import { ValidAttachments } from "./gc/valid-attachments.ts";

/** Goes on after errors; throws the first with the others in its details. */
export async function gc(context: Context): Promise<void> {
  const { request, config } = context;
  if (isNested(context)) return;
  requireOwnDirectory(`${config.dataDir}/locks`);
  const valid = new ValidAttachments(request.config);
  const deadline = deadlineOf(context, "gc");
  // Listed now: without the records that this GC will abandon.
  const abandoned = abandonedRecords(context).oldestFirst();
  const surveyor = new RecordSurveyor(context);
  const before = await surveyor.read();
  const isOnly = isOnlyGenieNetwork(context);
  // A stale record that hangs must not use the networks' half of the time.
  const forRecords = deadline.atMost(deadline.remaining / 2);
  const records = await deleteStaleRecords(
    context,
    await staleRecords(context, before, valid),
    forRecords,
  );
  const unreadable = isOnly
    ? await deleteUnreadableRecords(context, before, valid, forRecords)
    : [];
  const networks = await gcNetworks(
    { context, valid, surveyor, before, stale: records.tried, isOnly },
    deadline,
  );
  const orphaned = await removeOrphanedFiles(context, deadline);
  await retryLast(context, abandoned, deadline);
  throwFirst([...records.errors, ...unreadable, ...networks, ...orphaned]);
}

/** Abandoned records come last, and fail no GC (state.md "Never stuck, never forgotten"). */
async function retryLast(
  context: Context,
  abandoned: AsyncIterable<RecordEntry>,
  deadline: Deadline,
): Promise<void> {
  const { request, log } = context;
  try {
    const { kept } = await retryAbandoned(
      context,
      abandoned,
      deadline,
      request.config.name,
    );
    for (const { name, reason } of kept)
      log().info("kept an abandoned attachment", {
        container: name,
        why: reason,
      });
  } catch (error) {
    log().warn("failed to try abandoned records again", {
      error: messageOf(error),
    });
  }
}
