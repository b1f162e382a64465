/**
 * DEL: the attachments of the record, in reverse; without a record a best effort for
 * pods that were attached before us (state.md "DEL"). Never asks the API server.
 */
import { CniError } from "../cni/error.ts";
import type { Result } from "../cni/result.ts";
import type { Deadline } from "../linux/deadline.ts";
import { UnsafeDirectory, errnoOf, messageOf } from "../linux/errno.ts";
import { linkExists, statusIfAny } from "../linux/files.ts";
import { namespaceId } from "../linux/netns.ts";
import { type Lock, lockContainer } from "../state/lock.ts";
import {
  type AttachmentRecord,
  type AttachmentRouting,
  CorruptRecord,
  RecordError,
  executedIn,
} from "../state/record.ts";
import { Records } from "../state/records.ts";
import type { StoredResults } from "../state/stored-results.ts";
import { type Context, deadlineOf, isNested } from "./context.ts";
import { delegateCaller, searchPath } from "./delegates.ts";
import { type DeleteOutcome, deleteAttachments } from "./delete-attachments.ts";
import {
  type ForeignRecords,
  foreignRecords,
} from "./foreign/foreign-records.ts";
import type { AdoptedRecord } from "./foreign/multus-record.ts";

export async function del(context: Context): Promise<void> {
  // Its ADD was refused, and the genie that executed us has the lock.
  if (isNested(context)) return;
  const deadline = deadlineOf(context, "del");
  const lock = await lockIfPossible(context, deadline);
  try {
    if (lock && (await deleteRecorded(context, lock, deadline))) return;
    await deleteUnrecorded(context, lock, deadline);
  } finally {
    lock?.release();
  }
}

/**
 * undefined if `dataDir` cannot be created: no ADD wrote a record there, and an operator's
 * mistake must not keep a pod in Terminating (state.md "DEL").
 */
async function lockIfPossible(
  context: Context,
  deadline: Deadline,
): Promise<Lock | undefined> {
  try {
    const { containerId } = context.request;
    return await lockContainer(context, containerId, deadline);
  } catch (error) {
    if (mayHaveRecords(context.config.dataDir, error)) throw error;
    context.log().warn(messageOf(error));
    return undefined;
  }
}

/** `problem` is the error of the lock. */
function mayHaveRecords(dataDir: string, problem: unknown): boolean {
  try {
    return CniError.from(problem).cause instanceof UnsafeDirectory
      ? statusIfAny(dataDir)?.kind === "directory"
      : linkExists(`${dataDir}/locks`) || linkExists(`${dataDir}/attachments`);
  } catch (error) {
    return !/^(?:ELOOP|ENAMETOOLONG)$/.test(errnoOf(error) ?? "");
  }
}

/**
 * Deletes the attachments in the record of this container and interface; false when
 * there is none. Throws the first error with the others in its details.
 */
export async function deleteRecorded(
  context: Context,
  lock: Lock,
  deadline: Deadline,
): Promise<boolean> {
  const { request, records } = context;
  let record: AttachmentRecord | undefined;
  try {
    record = await records.read(request);
  } catch (error) {
    if (!(error instanceof CorruptRecord)) throw error;
    await setAsideUnreadable(context, error, lock, deadline);
    return false;
  }
  if (record) {
    await deleteRecord(context, record, request.netns, lock, deadline);
    return true;
  }
  removeLoneResults(context);
  return false;
}

/** A result without a record remains after a crash between two removals: no reason to fail. */
function removeLoneResults({ records, request, log }: Context): void {
  try {
    records.remove(request);
  } catch (error) {
    log().debug(messageOf(error));
  }
}

/**
 * Error 5 once: the record is renamed, so the runtime's retry finds none and succeeds.
 * Returns if the disk keeps it and it is old.
 */
async function setAsideUnreadable(
  context: Context,
  cause: CorruptRecord,
  lock: Lock,
  deadline: Deadline,
): Promise<void> {
  const { request, records } = context;
  const name = Records.nameOf(request.containerId, request.ifname);
  try {
    records.setAside(name);
  } catch (problem) {
    const { giveUpUnreadable } = await import("./abandoned/failed-delete.ts");
    return giveUpUnreadable(context, name, problem);
  }
  await deleteUnrecorded(context, lock, deadline);
  throw new RecordError(
    `unreadable attachment record of container ${request.containerId} was moved aside: ${cause.message}`,
    cause,
  );
}

/**
 * Deletes the attachments of a record and then the record. Attachments that could not be
 * deleted stay in it, so that a retry repeats only them, or are abandoned. "deleted": nothing
 * is left. "kept": the file of the record could not be removed. `netns` is empty if the
 * namespace is gone; `given` replaces the stored results.
 */
export async function deleteRecord(
  context: Context,
  record: AttachmentRecord,
  netns: string,
  lock: Lock | undefined,
  deadline: Deadline,
  given?: ReadonlyMap<string, Result>,
): Promise<"deleted" | "abandoned" | "kept"> {
  const { records } = context;
  records.noteDeleting(record);
  const stored = await records.readResults(record);
  if (stored.routing.size > 0)
    await removeRouting(context, record, netns, stored.routing);
  const outcome = await deleteAttachments(
    executedIn(record),
    given ?? stored.results,
    {
      containerId: record.containerId,
      netns,
      path: searchPath(context, record),
    },
    deadline,
    delegateCaller(context, lock),
  );
  if (outcome.remaining.length > 0)
    return keepRest(context, record, outcome, stored);
  let end: "deleted" | "kept" = "deleted";
  try {
    records.remove(record);
  } catch (cause) {
    const { giveUpUnremoved } = await import("./abandoned/failed-delete.ts");
    giveUpUnremoved(context, record, cause);
    end = "kept";
  }
  if (record.adopted) await removeMultusFile(context, record);
  return end;
}

/** Throws the error for the runtime, which retries; returns if the attachments are abandoned. */
async function keepRest(
  context: Context,
  record: AttachmentRecord,
  outcome: DeleteOutcome,
  { hasCompleted }: StoredResults,
): Promise<"abandoned" | "kept"> {
  const { abandonedRecords } = await import("../state/record-directory.ts");
  const { retryOrGiveUp } = await import("./abandoned/failed-delete.ts");
  await retryOrGiveUp(context, record, outcome, hasCompleted);
  // On a read-only disk, Multus' file is the only record of the rest.
  if (record.adopted && abandonedRecords(context).has(record))
    await removeMultusFile(context, record);
  return context.records.has(record) ? "kept" : "abandoned";
}

/**
 * Removes the rules and tables that ADD made in a pod with several networks
 * (selection.md §8), only while the namespace is the one of that ADD. A failure is
 * logged and does not fail the DEL: rules end with the namespace.
 */
export async function removeRouting(
  { log }: Context,
  { netnsId }: Pick<AttachmentRecord, "netnsId">,
  netns: string,
  routing: ReadonlyMap<string, AttachmentRouting>,
): Promise<void> {
  // Another namespace at that path: its tables are not ours.
  if (netnsId === undefined || namespaceId(netns) !== netnsId) return;
  try {
    const { Rtnetlink, removeTables } = await import("../linux/routes.ts");
    using rtnetlink = new Rtnetlink(netns);
    removeTables(rtnetlink, [...routing.values()]);
  } catch (error) {
    log().warn("failed to delete rules", { netns, error: messageOf(error) });
  }
}

/**
 * Without a record there is nothing to do, unless another program recorded the
 * container before genie was installed: runtimes call DEL twice for every pod, and
 * once more after a failed ADD.
 */
async function deleteUnrecorded(
  context: Context,
  lock: Lock | undefined,
  deadline: Deadline,
): Promise<void> {
  const foreign = foreignRecords(context);
  if (!foreign) return;
  const adopted = await adoptMultusRecord(context, foreign);
  if (!adopted) {
    const { deleteBestEffort } = await import("./foreign/unrecorded.ts");
    return deleteBestEffort(context, foreign, lock, deadline);
  }
  const { record, results } = adopted;
  const { netns } = context.request;
  await deleteRecord(context, record, netns, lock, deadline, results);
}

async function adoptMultusRecord(
  context: Context,
  { multusFile }: ForeignRecords,
): Promise<AdoptedRecord | undefined> {
  if (multusFile === undefined) return undefined;
  const { multusRecord } = await import("./foreign/multus-record.ts");
  return multusRecord(context, multusFile);
}

async function removeMultusFile(
  context: Context,
  record: AttachmentRecord,
): Promise<void> {
  const multus = await import("./foreign/multus-record.ts");
  multus.removeMultusFile(context, record);
}
