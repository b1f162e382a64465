/**
 * What becomes of a record whose DEL failed: the runtime is told and tries again,
 * or what is left is abandoned and the DEL has succeeded, so that no pod stays in
 * Terminating for ever (state.md "Never stuck, never forgotten"). Loaded when a DEL
 * fails.
 */
import { Code, CniError } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import { throwJoined } from "../cni/network.ts";
import { displayName } from "../select/select.ts";
import { abandon, abandonUnwritten } from "./abandoned.ts";
import type { Failure, Outcome } from "./delete-attachments.ts";
import { type Operation, ofNetwork } from "./context.ts";
import type { AttachmentRecord, DeleteFailures } from "./record.ts";

/** The DELs after which one may be the last. */
const enoughFailures = 3;

/** Returns when everything that is left was abandoned. Throws what the runtime is told, else. */
export function settle(
  operation: Operation,
  record: AttachmentRecord,
  { remaining, failures }: Outcome,
): void {
  const hasCompleted = operation.records.completion(record);
  // An attachment whose ADD never completed is tried once more, and that was it.
  const isOver = ({ attachment, reached }: Failure): boolean =>
    reached && !hasCompleted(attachment.ifname);
  const over = failures.filter(isOver);
  const counted = failures.filter((failure) => !isOver(failure));
  const left = { ...record, attachments: remaining };
  if (counted.length === 0) return giveUp(operation, left, over);
  // Of what was not reached nothing has failed yet.
  const known = counted.some(({ reached }) => reached)
    ? counting(operation, record)
    : record.failures;
  if (known && isEnough(operation, known))
    return giveUp(operation, left, failures);
  const problem = keep(operation, { ...left, failures: known }, over);
  if (problem && isOld(operation, record))
    return giveUp(operation, left, failures);
  throwJoined([
    ...counted.map(({ attachment, error }) =>
      ofNetwork(error, record.pod, displayName(attachment)),
    ),
    ...(problem ? [problem] : []),
  ]);
}

/**
 * Everything is deleted, but its record cannot be removed. Returns when it is too
 * old for the runtime to try again for that alone; throws 5, else.
 */
export function settleUnremoved(
  operation: Operation,
  record: AttachmentRecord,
  cause: unknown,
): void {
  const problem = notUpdated(operation, cause);
  if (!isOld(operation, record)) throw problem;
}

/** This DEL with those before it. */
function counting(
  { world }: Operation,
  { failures }: AttachmentRecord,
): DeleteFailures {
  const bootId = world.bootId();
  const count = (failures?.count ?? 0) + 1;
  if (!failures) return { count, bootId, uptimeMs: world.uptimeMs() };
  // The first one was before this boot: as long ago, at least, as this boot.
  return failures.bootId === bootId
    ? { ...failures, count }
    : { count, bootId, uptimeMs: 0 };
}

function isEnough(
  { config, world }: Operation,
  { count, uptimeMs }: DeleteFailures,
): boolean {
  const { deleteGiveUpMs } = config;
  return (
    deleteGiveUpMs > 0 &&
    count >= enoughFailures &&
    world.uptimeMs() - uptimeMs >= deleteGiveUpMs
  );
}

/** What counts where failures cannot be counted: the record's age in this boot. */
function isOld(
  { config, world }: Operation,
  { bootId, uptimeMs }: AttachmentRecord,
): boolean {
  const { deleteGiveUpMs } = config;
  const since = bootId === world.bootId() ? uptimeMs : 0;
  return deleteGiveUpMs > 0 && world.uptimeMs() - since >= deleteGiveUpMs;
}

/** Rewrites the record with what the next DEL has to do; why that failed. */
function keep(
  operation: Operation,
  record: AttachmentRecord,
  over: readonly Failure[],
): CniError | undefined {
  const gone = new Set(over.map(({ attachment }) => attachment));
  const attachments = record.attachments.filter((one) => !gone.has(one));
  try {
    if (over.length > 0) {
      tell(operation, over);
      abandon(operation, record, over, "others");
    }
    operation.records.write({ ...record, attachments }).sync();
    return undefined;
  } catch (cause) {
    // The old record stays: what is deleted already will be deleted once more.
    return notUpdated(operation, cause);
  }
}

function giveUp(
  operation: Operation,
  record: AttachmentRecord,
  failures: readonly Failure[],
): void {
  tell(operation, failures);
  try {
    abandon(operation, record, failures, "nothing");
    operation.records.remove(record);
  } catch (cause) {
    notUpdated(operation, cause);
    abandonUnwritten(operation, record);
  }
}

function tell({ log, config }: Operation, failures: readonly Failure[]): void {
  for (const { attachment, error } of failures)
    log.error(
      `gave up deleting an attachment: kept in ${config.dataDir}/abandoned, \`genie gc\` tries it again`,
      {
        network: displayName(attachment),
        ifname: attachment.ifname,
        error: error.message,
        details: error.details,
      },
    );
}

function notUpdated({ log }: Operation, cause: unknown): CniError {
  const problem = `failed to update the attachment record: ${messageOf(cause)}`;
  log.error(problem);
  return new CniError(Code.io, problem, { cause });
}
