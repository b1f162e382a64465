/**
 * ADD that failed after a delegate was executed: everything is undone (state.md
 * "ADD"). Loaded when that happens.
 */
import { messageOf } from "../cni/error.ts";
import type { Deadline } from "../cni/deadline.ts";
import type { Caller } from "../cni/invoke.ts";
import type { Result } from "../cni/result.ts";
import { displayName } from "../select/select.ts";
import { deleteAttachments } from "./delegates.ts";
import type { Operation } from "./operation.ts";
import type { AttachmentRecord } from "./record.ts";

/**
 * DEL of the attachment that failed and of all before it. The record stays with
 * what could not be deleted; the error that is reported is the first one.
 */
export async function rollBack(
  { records, request, log, path }: Operation,
  record: AttachmentRecord,
  touched: number,
  results: ReadonlyMap<string, Result>,
  deadline: Deadline,
  caller: Caller,
): Promise<void> {
  const target = {
    containerId: request.containerId,
    netns: request.netns,
    path,
  };
  const attachments = record.attachments.slice(0, touched);
  const outcome = await deleteAttachments(
    attachments,
    results,
    target,
    deadline,
    caller,
  );
  for (const { attachment, error } of outcome.errors) {
    log.error("rollback: failed to delete attachment", {
      network: displayName(attachment),
      ifname: attachment.ifname,
      error: error.message,
      details: error.details,
    });
  }
  try {
    if (outcome.remaining.length === 0) records.remove(record);
    else records.write({ ...record, attachments: outcome.remaining }).close();
  } catch (error) {
    // The record as it was names more than is left: a later DEL finds the rest gone.
    log.error("rollback: failed to update the attachment record", {
      error: messageOf(error),
    });
  }
}
