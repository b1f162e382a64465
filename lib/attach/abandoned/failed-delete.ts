/**
 * DELs that failed (state.md "Never stuck, never forgotten"): the runtime gets an error and
 * tries again, or genie gives up, abandons the rest of the record, and the DEL succeeds, so
 * that no pod stays in Terminating for ever. Loaded when a DEL fails.
 */
import { Code, CniError } from "../../cni/error.ts";
import { throwFirst } from "../../cni/network-upkeep.ts";
import { messageOf } from "../../linux/errno.ts";
import { displayName } from "../../select/attachment.ts";
import {
  abandonedRecords,
  recordDirectory,
} from "../../state/record-directory.ts";
import {
  type AttachmentRecord,
  type DeleteFailures,
  executedIn,
  resultKey,
  withExecuted,
} from "../../state/record.ts";
import { type Context, prefixNetwork } from "../context.ts";
import type { FailedDelete, DeleteOutcome } from "../delete-attachments.ts";
import { abandon } from "./abandoned.ts";

/** The number of failed DELs before an attachment may be abandoned. */
const enoughFailures = 3;

/** Returns if all remaining attachments were abandoned. Otherwise throws the error for the runtime, which retries. */
export async function retryOrGiveUp(
  context: Context,
  record: AttachmentRecord,
  { remaining, failures }: DeleteOutcome,
  hasCompleted: (key: string) => boolean,
): Promise<void> {
  // An attachment whose ADD never completed gets one DEL only.
  const isOver = ({ attachment, reached }: FailedDelete): boolean =>
    reached && !hasCompleted(resultKey(attachment));
  const over = failures.filter(isOver);
  const counted = failures.filter((failure) => !isOver(failure));
  const left = withExecuted(record, remaining);
  if (counted.length === 0) return giveUp(context, left, over);
  // An attachment that was not reached has not failed yet.
  const known = counted.some(({ reached }) => reached)
    ? countFailure(context, record)
    : record.failures;
  if (known && isEnough(context, known)) return giveUp(context, left, failures);
  const problem = await keepCounted(
    context,
    { ...left, failures: known },
    over,
  );
  if (problem && isOld(context, record)) return giveUp(context, left, failures);
  throwFirst([
    ...counted.map(({ attachment, error }) =>
      prefixNetwork(error, record.pod, displayName(attachment)),
    ),
    ...(problem ? [problem] : []),
  ]);
}

/**
 * Every attachment is deleted, but the record cannot be removed. Returns if the record is
 * old enough to give up; otherwise throws 5.
 */
export function giveUpUnremoved(
  context: Context,
  record: AttachmentRecord,
  cause: unknown,
): void {
  const problem = notUpdated(context, cause);
  if (!isOld(context, record)) throw problem;
}

/**
 * An unreadable record cannot be moved aside. Returns if its file is old enough to give up;
 * otherwise throws `problem`.
 */
export function giveUpUnreadable(
  context: Context,
  name: string,
  problem: unknown,
): void {
  const { config, dependencies, log } = context;
  const nowMs = dependencies.now().getTime();
  const ageMs = recordDirectory(context).ageOf(name, nowMs) ?? 0;
  const { deleteGiveUpMs } = config;
  if (deleteGiveUpMs === 0 || ageMs < deleteGiveUpMs) throw problem;
  log().error(messageOf(problem));
}

/** The failures of this DEL and the earlier ones. */
function countFailure(
  { dependencies }: Context,
  { failures }: AttachmentRecord,
): DeleteFailures {
  const bootId = dependencies.bootId();
  const count = (failures?.count ?? 0) + 1;
  if (!failures) return { count, bootId, uptimeMs: dependencies.uptimeMs() };
  // The first failure is older than this boot.
  return failures.bootId === bootId
    ? { ...failures, count }
    : { count, bootId, uptimeMs: 0 };
}

function isEnough(
  context: Context,
  { count, uptimeMs }: DeleteFailures,
): boolean {
  return count >= enoughFailures && isPast(context, uptimeMs);
}

/** If failures cannot be counted, the record's age in this boot decides. */
function isOld(
  context: Context,
  { bootId, uptimeMs }: AttachmentRecord,
): boolean {
  const isOfThisBoot = bootId === context.dependencies.bootId();
  return isPast(context, isOfThisBoot ? uptimeMs : 0);
}

/** Whether that was `deleteGiveUp` ago, in milliseconds since the boot. */
function isPast({ config, dependencies }: Context, sinceMs: number): boolean {
  const { deleteGiveUpMs } = config;
  return (
    deleteGiveUpMs > 0 && dependencies.uptimeMs() - sinceMs >= deleteGiveUpMs
  );
}

/**
 * Rewrites the record for the next DEL, without the abandoned attachments; returns
 * the error of a failure.
 */
async function keepCounted(
  context: Context,
  record: AttachmentRecord,
  over: readonly FailedDelete[],
): Promise<CniError | undefined> {
  const gone = new Set(over.map(({ attachment }) => attachment));
  const left = executedIn(record).filter((one) => !gone.has(one));
  try {
    if (over.length > 0) {
      await abandon(context, record, over);
      logGivenUp(context, record, over);
    }
    context.records.write(withExecuted(record, left)).sync();
    return undefined;
  } catch (cause) {
    // The old record stays: some attachments will be deleted a second time.
    return notUpdated(context, cause);
  }
}

/** Abandons everything that is left of a record. */
async function giveUp(
  context: Context,
  record: AttachmentRecord,
  failures: readonly FailedDelete[],
): Promise<void> {
  const { records, log } = context;
  const abandoned = abandonedRecords(context);
  try {
    await abandon(context, record, failures);
    moveResults(context, record);
    records.remove(record);
  } catch (cause) {
    notUpdated(context, cause);
    try {
      // Nothing can be written: the files move, without the errors.
      recordDirectory(context).move(record, "everything", abandoned);
    } catch (error) {
      // The record stays, and GC finds it when the container is gone.
      log().error(
        "failed to move a record that could not be deleted to abandoned",
        { error: messageOf(error) },
      );
    }
  }
  logGivenUp(context, record, failures);
}

/** Refused where one of the directories is a mount point: a retry then has no prevResult. */
function moveResults(context: Context, record: AttachmentRecord): void {
  try {
    const to = abandonedRecords(context);
    recordDirectory(context).move(record, "results", to);
  } catch (error) {
    context.log().warn("failed to move results to abandoned", {
      error: messageOf(error),
    });
  }
}

/** Called after the attempt to move the record: the disk may be read-only. */
function logGivenUp(
  context: Context,
  record: AttachmentRecord,
  failures: readonly FailedDelete[],
): void {
  const { log, config } = context;
  const directory = `${config.dataDir}/abandoned`;
  const outcome = isKept(context, record)
    ? `kept in ${directory}, \`genie gc\` tries it again`
    : `nothing can be written to ${directory}, so its record stays`;
  for (const { attachment, error } of failures)
    log().error(`gave up deleting an attachment: ${outcome}`, {
      network: displayName(attachment),
      ifname: attachment.ifname,
      error: error.message,
      details: error.details,
    });
}

/** An unreadable directory must not fail the DEL. */
function isKept(context: Context, record: AttachmentRecord): boolean {
  try {
    return abandonedRecords(context).has(record);
  } catch {
    return false;
  }
}

function notUpdated({ log }: Context, cause: unknown): CniError {
  const problem = `failed to update the attachment record: ${messageOf(cause)}`;
  log().error(problem);
  return new CniError(Code.io, problem, { cause });
}
