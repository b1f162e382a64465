/**
 * ADD that failed after a delegate was executed: everything is undone (state.md
 * "ADD"). Loaded when that happens.
 */
import { Code, CniError } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import type { Deadline } from "../linux/deadline.ts";
import type { Caller } from "../cni/invoke.ts";
import type { Result } from "../cni/result.ts";
import { displayName } from "../select/select.ts";
import { deleteAttachments } from "./delete-attachments.ts";
import type { Context } from "./context.ts";
import type { AttachmentRecord } from "./record.ts";

/** An ADD as far as it got. */
export interface FailedAdd {
  record: AttachmentRecord;
  /** So many of its attachments were executed, the one that failed included. */
  touched: number;
  results: ReadonlyMap<string, Result>;
  error: CniError;
}

/**
 * DEL of the attachment that failed and of all before it; what the runtime is told.
 * The record stays with what could not be deleted, whose errors are only logged.
 */
export async function rollBack(
  context: Context,
  { record, touched, results, error }: FailedAdd,
  deadline: Deadline,
  caller: Caller,
): Promise<CniError> {
  const { request, log, path } = context;
  const { containerId, netns } = request;
  const outcome = await deleteAttachments(
    record.attachments.slice(0, touched),
    results,
    { containerId, netns, path },
    deadline,
    caller,
  );
  for (const { attachment, error: failure } of outcome.failures) {
    log().error("rollback: failed to delete attachment", {
      network: displayName(attachment),
      ifname: attachment.ifname,
      error: failure.message,
      details: failure.details,
    });
  }
  const left = { ...record, attachments: outcome.remaining };
  const isClean = update(context, left);
  return isClean ? error : withCleanup(error);
}

/** Whether nothing is left, not even the record. */
function update({ records, log }: Context, left: AttachmentRecord): boolean {
  try {
    if (left.attachments.length === 0) {
      records.remove(left);
      return true;
    }
    records.write(left).sync();
    // Its ADD has failed: it is deleted once more, and not for ever.
    records.removeResults(left);
  } catch (error) {
    // The record as it was names more than is left: a later DEL finds the rest gone.
    log().error("rollback: failed to update the attachment record", {
      error: messageOf(error),
    });
  }
  return false;
}

/** Code 3 would tell the runtime that no DEL is needed. */
function withCleanup(error: CniError): CniError {
  const { code, message, details } = error;
  return code === Code.unknownContainer
    ? new CniError(Code.internal, message, { details, cause: error })
    : error;
}
