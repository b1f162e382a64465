/**
 * The rollback of an ADD that failed (state.md "ADD"). Loaded only then.
 */
import { Code, CniError } from "../cni/error.ts";
import type { Caller } from "../cni/invoke.ts";
import type { Result } from "../cni/result.ts";
import type { Deadline } from "../linux/deadline.ts";
import { messageOf } from "../linux/errno.ts";
import { plain } from "../linux/text.ts";
import { type Attachment, displayName } from "../select/attachment.ts";
import {
  type AttachmentRecord,
  executedIn,
  withoutExtras,
  resultsByKey,
  withExecuted,
} from "../state/record.ts";
import type { DueStatus, StoredResults } from "../state/stored-results.ts";
import type { Context } from "./context.ts";
import { deleteAttachments } from "./delete-attachments.ts";

/** The attachments of a running pod, before another one is added (agent.md). */
export interface PresentAttachments {
  record: AttachmentRecord;
  /** Also the pod's status that is due so far. */
  stored: StoredResults & { due: DueStatus | undefined };
  /** The results of the completed attachments, with which the list of the ADD begins. */
  results: readonly Result[];
}

/** The state of an ADD, from its record on. */
export interface AddState {
  record: AttachmentRecord;
  attachments: readonly Attachment[];
  /** The attachments of this ADD so far, a failed one included. */
  touched: Attachment[];
  /** In the order of the attachments, for those that were added. */
  results: Result[];
  /** The result of the auxiliary chain. */
  auxiliaryResult?: Result;
  /** Kept: the attachments that a running pod had before. */
  present?: PresentAttachments | undefined;
}

/**
 * Deletes the failed attachment of an ADD and all before it (state.md "ADD"), except those
 * in `present`; a plugin that never ran is not executed. Returns the error for the runtime.
 * The record stays with the attachments that could not be deleted; their errors are logged.
 */
export async function rollBack(
  context: Context,
  run: AddState,
  error: CniError,
  deadline: Deadline,
  caller: Caller,
): Promise<CniError> {
  const { request, log, path } = context;
  const { containerId, netns } = request;
  const { present } = run;
  if (present) restoreResults(context, present);
  const touched = run.touched.map(withoutExtras);
  const { remaining, failures } = await deleteAttachments(
    touched,
    resultsByKey(run, run.results),
    { containerId, netns, path },
    deadline,
    { ...caller, neverRan: await neverRan(error, touched) },
  );
  for (const { attachment, error: failure } of failures) {
    log().error("rollback: failed to delete attachment", {
      network: displayName(attachment),
      ifname: attachment.ifname,
      error: failure.message,
      details: failure.details,
    });
  }
  const isClean = present
    ? restoreRecord(context, present.record, remaining)
    : keepRemaining(context, withExecuted(run.record, remaining));
  if (isClean) return error;
  const { message, code } = error;
  // A running pod gets no DEL soon: the operator must know.
  const left = present && remaining.map(leftText);
  const details = [error.details, ...(left ?? [])].filter(Boolean).join("; ");
  // Code 3 would tell the runtime that no DEL is needed.
  const kept = code === Code.unknownContainer ? Code.internal : code;
  return new CniError(kept, message, { details, cause: error });
}

/**
 * The plugin that could not be executed. DEL skips it: otherwise each try of such a pod would
 * leave one more attachment that cannot be deleted. undefined if it is executed twice for
 * that interface: the first execution may have succeeded.
 */
async function neverRan(
  { cause }: CniError,
  touched: readonly Attachment[],
): Promise<Caller["neverRan"]> {
  const { NotExecutable } = await import("../cni/plugin-error.ts");
  if (!(cause instanceof NotExecutable)) return undefined;
  const ifname = touched.at(-1)?.ifname;
  if (ifname === undefined) return undefined;
  const { path } = cause;
  const executions = touched
    .filter((one) => one.ifname === ifname)
    .flatMap(({ list }) => list.plugins)
    .filter(({ type }) => path.endsWith(`/${type}`));
  return executions.length === 1 ? { path, ifname } : undefined;
}

function leftText({ ifname }: Attachment): string {
  return `its rollback failed too: ${plain(ifname)} stays in the record, for the next try, "genie detach" or DEL`;
}

/** Whether everything is deleted, and the record of a running pod is as before. */
function restoreRecord(
  { records, log }: Context,
  before: AttachmentRecord,
  remaining: readonly Attachment[],
): boolean {
  const attachments = [...before.attachments, ...remaining];
  try {
    records.write({ ...before, attachments }).sync();
  } catch (error) {
    logNotUpdated(log, error);
    return false;
  }
  return remaining.length === 0;
}

/** The old record stays. It also names deleted attachments, which a later DEL deletes again. */
function logNotUpdated(log: Context["log"], error: unknown): void {
  log().error("rollback: failed to update the attachment record", {
    error: messageOf(error),
  });
}

/** Whether everything is deleted, the record too. */
function keepRemaining(
  { records, log }: Context,
  left: AttachmentRecord,
): boolean {
  try {
    if (executedIn(left).length === 0) {
      records.remove(left);
      return true;
    }
    records.write(left).sync();
    // Its ADD has failed: one more DEL is tried, not DELs for ever.
    records.removeResults(left);
  } catch (error) {
    logNotUpdated(log, error);
  }
  return false;
}

/** Removes the results of the new attachments: they are deleted, or could not be. */
function restoreResults(
  { records, log }: Context,
  { record, stored: { results, routing, due } }: PresentAttachments,
): void {
  try {
    records.writeResults(record, results, routing, due);
  } catch (error) {
    log().error("rollback: failed to restore the results", {
      error: messageOf(error),
    });
  }
}
