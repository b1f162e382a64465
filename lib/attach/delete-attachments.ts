/**
 * Deletes attachments: in reverse, all of them, whatever fails (state.md "DEL"). For
 * DEL, left-over records, GC, and the rollback of an ADD that failed.
 */
import { Code, CniError } from "../cni/error.ts";
import type { Caller, RuntimeConf } from "../cni/invoke.ts";
import { delNetwork } from "../cni/network.ts";
import type { Result } from "../cni/result.ts";
import type { Deadline } from "../linux/deadline.ts";
import { messageOf } from "../linux/errno.ts";
import { NotExecutable, ProcessKilled } from "../linux/exec.ts";
import { deletableNetns } from "../linux/netns.ts";
import { type Attachment, displayName } from "../select/attachment.ts";
import type { Context } from "./context.ts";
import {
  type AttachmentRecord,
  executedIn,
  resultKey,
  withExecuted,
} from "./record.ts";

/** One attachment that could not be deleted. */
export interface Failure {
  attachment: Attachment;
  error: CniError;
  /** False if no time was left: nothing of it was executed. */
  reached: boolean;
}

export interface Outcome {
  /**
   * The attachments that could not be deleted, in the order of their next record. A
   * retry goes through it in reverse, so those that were not reached come last, those
   * that were killed before them (state.md "Time": every retry makes progress); within
   * each group they keep their order.
   */
  remaining: Attachment[];
  /** One for each of `remaining`, in the order of the failures. */
  failures: Failure[];
}

/** The minimum for each attachment in milliseconds, while the phase lasts. */
export const leastShareMs = 5000;

/**
 * Each attachment gets the remaining time divided by the attachments left, so that
 * one that hangs leaves time for the others.
 */
export async function deleteAttachments(
  attachments: readonly Attachment[],
  results: ReadonlyMap<string, Result>,
  target: Pick<RuntimeConf, "containerId" | "netns" | "path">,
  deadline: Deadline,
  caller: Caller,
): Promise<Outcome> {
  const netns = deletableNetns(target.netns);
  const failures: Failure[] = [];
  // Each in the order of the record.
  const failed: Attachment[] = [];
  const killed: Attachment[] = [];
  const notReached: Attachment[] = [];
  for (const [i, attachment] of attachments.toReversed().entries()) {
    if (deadline.expired) {
      notReached.unshift(attachment);
      failures.push({ attachment, error: noTime(attachment), reached: false });
      continue;
    }
    const { list, ifname, args, capabilityArgs } = attachment;
    const runtime = { ...target, netns, ifname, args, capabilityArgs };
    const share = deadline.share(attachments.length - i, leastShareMs);
    try {
      await delNetwork(
        list,
        runtime,
        results.get(resultKey(attachment)),
        share,
        caller,
      );
      if (Object.hasOwn(capabilityArgs, "CNIDeviceInfoFile")) {
        const { removeDeviceInfo } = await import("../kubelet/device-info.ts");
        removeDeviceInfo(capabilityArgs);
      }
    } catch (cause) {
      const error = CniError.from(cause);
      const wasKilled = error.cause instanceof ProcessKilled;
      (wasKilled ? killed : failed).unshift(attachment);
      failures.push({ attachment, error, reached: true });
    }
  }
  return { remaining: [...failed, ...killed, ...notReached], failures };
}

function noTime({ ifname }: Attachment): CniError {
  return new CniError(
    Code.tryAgainLater,
    `failed to delete ${ifname}: no time left`,
  );
}

/** The state of a failed ADD. */
export interface FailedAdd {
  record: AttachmentRecord;
  /** Of a running pod: its record before. All of it stays. */
  before?: AttachmentRecord | undefined;
  /** The number of attachments of a running pod, which come first. */
  present: number;
  /** The number of attachments so far, the failed one included. */
  touched: number;
  results: ReadonlyMap<string, Result>;
  error: CniError;
}

/**
 * Deletes the attachment of an ADD that failed and all before it (state.md "ADD"),
 * except for a plugin that never ran; the error for the runtime. The record stays with the attachments that could not be
 * deleted, whose errors are only logged.
 */
export async function rollBack(
  context: Context,
  { record, before, present, touched, results, error }: FailedAdd,
  deadline: Deadline,
  caller: Caller,
): Promise<CniError> {
  const { request, log, path } = context;
  const { containerId, netns } = request;
  const { remaining, failures } = await deleteAttachments(
    executedIn(record).slice(present, touched),
    results,
    { containerId, netns, path },
    deadline,
    { ...caller, neverRan: neverRan(error) },
  );
  for (const { attachment, error: failure } of failures) {
    log().error("rollback: failed to delete attachment", {
      network: displayName(attachment),
      ifname: attachment.ifname,
      error: failure.message,
      details: failure.details,
    });
  }
  const isClean = before
    ? restore(context, before, remaining)
    : keepRemaining(context, withExecuted(record, remaining));
  if (isClean) return error;
  const { message, code } = error;
  // Of a running pod nobody else tells the operator.
  const left = before && remaining.map(leftText);
  const details = [error.details, ...(left ?? [])].filter(Boolean).join("; ");
  // Code 3 would tell the runtime that no DEL is needed.
  const kept = code === Code.unknownContainer ? Code.internal : code;
  return new CniError(kept, message, { details, cause: error });
}

/** Else each try of such a pod would leave one more attachment that cannot be deleted. */
function neverRan({ cause }: CniError): string | undefined {
  return cause instanceof NotExecutable ? cause.path : undefined;
}

function leftText({ ifname }: Attachment): string {
  return `its rollback failed too: ${ifname} stays in the record, for the next try, "genie detach" or DEL`;
}

/** Whether everything is deleted, and the record of a running pod is as before. */
function restore(
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

/** The record as it was names more than is left: a later DEL finds the rest gone. */
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
