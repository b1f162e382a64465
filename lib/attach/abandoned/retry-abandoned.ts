/**
 * Retries of abandoned records (state.md "Never stuck, never forgotten"), for `genie gc`, a
 * runtime's GC and the agent.
 */
import type { Deadline } from "../../linux/deadline.ts";
import { messageOf } from "../../linux/errno.ts";
import { recordedNetns } from "../../linux/netns.ts";
import type { Attachment } from "../../select/attachment.ts";
import { tryWithContainerLock } from "../../state/lock.ts";
import { withRecordsAlone } from "../../state/records-lock.ts";
import {
  type RecordDirectory,
  type RecordEntry,
  abandonedRecords,
  recordDirectory,
} from "../../state/record-directory.ts";
import {
  type AttachmentRecord,
  executedIn,
  withExecuted,
} from "../../state/record.ts";
import { abandonment } from "./abandoned.ts";
import type { Context } from "../context.ts";
import { delegateCaller, searchPath } from "../delegates.ts";
import { type FailedDelete, deleteAttachments } from "../delete-attachments.ts";
import { LivingRecords } from "./living-records.ts";

export interface RetryOutcome {
  deleted: AttachmentRecord[];
  /** The records that stay, with the reasons. */
  kept: { name: string; reason: string }[];
}

/** Milliseconds for one record: meanwhile no pod is added. */
const recordMs = 10_000;

/**
 * Retries abandoned records, all or those of the genie network `network`. Failures are only
 * reported, because no pod waits for it.
 */
export async function retryAbandoned(
  context: Context,
  entries: AsyncIterable<RecordEntry>,
  deadline: Deadline,
  network?: string,
): Promise<RetryOutcome> {
  const living = new LivingRecords(recordDirectory(context));
  const retried: RetryOutcome = { deleted: [], kept: [] };
  for await (const { name, record, error } of entries) {
    if (record && network !== undefined && record.network !== network) continue;
    const shown = record ? `${record.containerId}:${record.ifname}` : name;
    try {
      const reason = record
        ? await retryRecord(context, living, record, deadline)
        : messageOf(error);
      if (reason !== undefined) retried.kept.push({ name: shown, reason });
      else if (record) retried.deleted.push(record);
    } catch (cause) {
      retried.kept.push({ name: shown, reason: messageOf(cause) });
    }
  }
  return retried;
}

/** The reason why it stays; undefined if it is deleted. */
async function retryRecord(
  context: Context,
  living: LivingRecords,
  record: AttachmentRecord,
  deadline: Deadline,
): Promise<string | undefined> {
  if (deadline.expired) return "no time left";
  const share = deadline.atMost(recordMs);
  const { containerId } = record;
  const tried = await tryWithContainerLock(
    context,
    containerId,
    share,
    async ({ fd }) => ({
      // Meanwhile no other pod can get the resources that the late DEL may free.
      reason: await withRecordsAlone(context, share, (all) =>
        deleteAbandoned(context, living, record, share, [fd, all.fd]),
      ),
    }),
  );
  return tried ? tried.reason : "another operation works on the container";
}

async function deleteAbandoned(
  context: Context,
  living: LivingRecords,
  record: AttachmentRecord,
  deadline: Deadline,
  inherit: number[],
): Promise<string | undefined> {
  const abandoned = abandonedRecords(context);
  const current = await abandoned.read(record);
  if (!current) return undefined;
  await living.refresh();
  const claimed: Attachment[] = [];
  const free: Attachment[] = [];
  let reason: string | undefined;
  for (const attachment of executedIn(current)) {
    const claim = living.claimOf(current, attachment);
    (claim === undefined ? free : claimed).push(attachment);
    reason ??= claim;
  }
  if (free.length === 0) return reason;
  const { remaining, failures } = await deleteAttachments(
    free,
    (await abandoned.readResults(current)).results,
    {
      containerId: current.containerId,
      netns: recordedNetns(current, context.dependencies.bootId()),
      path: searchPath(context, current),
    },
    deadline,
    { ...delegateCaller(context), inherit },
  );
  const attachments = [...claimed, ...remaining];
  if (attachments.length === 0) {
    abandoned.remove(current);
    return undefined;
  }
  rewrite(context, abandoned, withExecuted(current, attachments), failures);
  return failures[0]?.error.message ?? reason;
}

/** Always written: its file is then the newest, and the next retry begins with others. */
function rewrite(
  { dependencies, log }: Context,
  abandoned: RecordDirectory,
  record: AttachmentRecord,
  failures: readonly FailedDelete[],
): void {
  const why = abandonment(
    executedIn(record),
    record.abandoned,
    failures,
    dependencies.now(),
  );
  try {
    abandoned.write({ ...record, abandoned: why }).sync();
  } catch (error) {
    log().warn("failed to update an abandoned record", {
      error: messageOf(error),
    });
  }
}
