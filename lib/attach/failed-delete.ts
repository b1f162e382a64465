/**
 * What becomes of a record whose DEL failed: the runtime is told and tries again,
 * or what is left is abandoned and the DEL has succeeded, so that no pod stays in
 * Terminating for ever (state.md "Never stuck, never forgotten"). Loaded when a DEL
 * fails.
 */
import { Code, CniError } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import { throwFirst } from "../cni/network.ts";
import { displayName } from "../select/select.ts";
import { abandon, abandonUnwritten } from "./abandoned.ts";
import type { Failure, Outcome } from "./delete-attachments.ts";
import { type Context, prefixNetwork } from "./context.ts";
import type { AttachmentRecord, DeleteFailures } from "./record.ts";

/** The DELs after which one may be the last. */
const enoughFailures = 3;

/** Returns when everything that is left was abandoned. Throws what the runtime is told, else. */
export function settle(
  context: Context,
  record: AttachmentRecord,
  { remaining, failures }: Outcome,
): void {
  const hasCompleted = context.records.completion(record);
  // An attachment whose ADD never completed is tried once more, and that was it.
  const isOver = ({ attachment, reached }: Failure): boolean =>
    reached && !hasCompleted(attachment.ifname);
  const over = failures.filter(isOver);
  const counted = failures.filter((failure) => !isOver(failure));
  const left = { ...record, attachments: remaining };
  if (counted.length === 0) return giveUp(context, left, over);
  // Of what was not reached nothing has failed yet.
  const known = counted.some(({ reached }) => reached)
    ? counting(context, record)
    : record.failures;
  if (known && isEnough(context, known)) return giveUp(context, left, failures);
  const problem = keep(context, { ...left, failures: known }, over);
  if (problem && isOld(context, record)) return giveUp(context, left, failures);
  throwFirst([
    ...counted.map(({ attachment, error }) =>
      prefixNetwork(error, record.pod, displayName(attachment)),
    ),
    ...(problem ? [problem] : []),
  ]);
}

/**
 * Everything is deleted, but its record cannot be removed. Returns when it is too
 * old for the runtime to try again for that alone; throws 5, else.
 */
export function settleUnremoved(
  context: Context,
  record: AttachmentRecord,
  cause: unknown,
): void {
  const problem = notUpdated(context, cause);
  if (!isOld(context, record)) throw problem;
}

/** This DEL with those before it. */
function counting(
  { dependencies }: Context,
  { failures }: AttachmentRecord,
): DeleteFailures {
  const bootId = dependencies.bootId();
  const count = (failures?.count ?? 0) + 1;
  if (!failures) return { count, bootId, uptimeMs: dependencies.uptimeMs() };
  // The first one was before this boot: as long ago, at least, as this boot.
  return failures.bootId === bootId
    ? { ...failures, count }
    : { count, bootId, uptimeMs: 0 };
}

function isEnough(
  { config, dependencies }: Context,
  { count, uptimeMs }: DeleteFailures,
): boolean {
  const { deleteGiveUpMs } = config;
  return (
    deleteGiveUpMs > 0 &&
    count >= enoughFailures &&
    dependencies.uptimeMs() - uptimeMs >= deleteGiveUpMs
  );
}

/** What counts where failures cannot be counted: the record's age in this boot. */
function isOld(
  { config, dependencies }: Context,
  { bootId, uptimeMs }: AttachmentRecord,
): boolean {
  const { deleteGiveUpMs } = config;
  const since = bootId === dependencies.bootId() ? uptimeMs : 0;
  return (
    deleteGiveUpMs > 0 && dependencies.uptimeMs() - since >= deleteGiveUpMs
  );
}

/** Rewrites the record with what the next DEL has to do; why that failed. */
function keep(
  context: Context,
  record: AttachmentRecord,
  over: readonly Failure[],
): CniError | undefined {
  const gone = new Set(over.map(({ attachment }) => attachment));
  const attachments = record.attachments.filter((one) => !gone.has(one));
  try {
    if (over.length > 0) {
      tell(context, over);
      abandon(context, record, over, "others");
    }
    context.records.write({ ...record, attachments }).sync();
    return undefined;
  } catch (cause) {
    // The old record stays: what is deleted already will be deleted once more.
    return notUpdated(context, cause);
  }
}

function giveUp(
  context: Context,
  record: AttachmentRecord,
  failures: readonly Failure[],
): void {
  tell(context, failures);
  try {
    abandon(context, record, failures, "nothing");
    context.records.remove(record);
  } catch (cause) {
    notUpdated(context, cause);
    abandonUnwritten(context, record);
  }
}

function tell({ log, config }: Context, failures: readonly Failure[]): void {
  for (const { attachment, error } of failures)
    log().error(
      `gave up deleting an attachment: kept in ${config.dataDir}/abandoned, \`genie gc\` tries it again`,
      {
        network: displayName(attachment),
        ifname: attachment.ifname,
        error: error.message,
        details: error.details,
      },
    );
}

function notUpdated({ log }: Context, cause: unknown): CniError {
  const problem = `failed to update the attachment record: ${messageOf(cause)}`;
  log().error(problem);
  return new CniError(Code.io, problem, { cause });
}
