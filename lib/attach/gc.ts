/**
 * GC: deletes the records that the runtime no longer knows, then sends every network in
 * use the list of its valid attachments (state.md "CHECK, GC, STATUS").
 */
import { CniError, Code } from "../cni/error.ts";
import { throwFirst } from "../cni/network-upkeep.ts";
import type { Deadline } from "../linux/deadline.ts";
import { messageOf } from "../linux/errno.ts";
import { listIfAny, requireOwnDirectory } from "../linux/files.ts";
import { recordedNetns } from "../linux/netns.ts";
import {
  type Lock,
  isWorkedOn,
  lockIfLeft,
  tryWithContainerLock,
} from "../state/lock.ts";
import {
  type RecordEntry,
  abandonedRecords,
  recordDirectory,
} from "../state/record-directory.ts";
import { CorruptRecord, RecordError, isSameAdd } from "../state/record.ts";
import { type Context, deadlineOf, isNested } from "./context.ts";
import { deleteRecord, deleteRecorded } from "./del.ts";
import { leastShareMs } from "./delete-attachments.ts";
import { gcNetworks, isOnlyGenieNetwork } from "./gc/gc-networks.ts";
import { ValidAttachments } from "./gc/valid-attachments.ts";
import {
  type RecordSummary,
  type RecordSurvey,
  RecordSurveyor,
} from "./gc/record-survey.ts";
import { retryAbandoned } from "./abandoned/retry-abandoned.ts";

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
  const litter = await removeLitter(context, deadline);
  await retryLast(context, abandoned, deadline);
  throwFirst([...records.errors, ...unreadable, ...networks, ...litter]);
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

/** Removes the locks and temporary files of a genie that was killed before it had a record. */
export async function removeLitter(
  context: Context,
  deadline: Deadline,
): Promise<CniError[]> {
  const { config } = context;
  const records = recordDirectory(context);
  const errors: CniError[] = [];
  const attempt = async (work: () => unknown) => {
    try {
      await work();
    } catch (error) {
      errors.push(CniError.from(error));
    }
  };
  for (const all of [records, abandonedRecords(context)])
    for (const containerId of all.containersOfTemporaryFiles())
      await attempt(() =>
        tryWithContainerLock(context, containerId, deadline, async () =>
          all.removeTemporaryFiles(containerId),
        ),
      );
  const directory = `${config.dataDir}/locks`;
  for (const containerId of listIfAny(directory))
    await attempt(() => lockIfLeft(`${directory}/${containerId}`)?.release());
  await attempt(() => records.removeLoneNotes());
  return errors;
}

/** A younger record may belong to an ADD that the runtime's list does not have yet. */
const settledMs = 60_000;

/**
 * Records of this network that are unknown to the runtime, settled, and not worked on.
 * Those with fewer failed DELs come first, so that every GC makes progress.
 */
async function staleRecords(
  { request, config, dependencies }: Context,
  { records }: RecordSurvey,
  valid: ValidAttachments,
): Promise<RecordSummary[]> {
  const bootId = dependencies.bootId();
  const settledBy = dependencies.uptimeMs() - settledMs;
  const stale: RecordSummary[] = [];
  for (const record of records) {
    const isStale =
      record.network === request.config.name &&
      !valid.has(record) &&
      (record.bootId !== bootId || record.uptimeMs < settledBy) &&
      // Now, and once more at its turn: its ADD may end in between.
      !(await isBusy(config.dataDir, record));
    if (isStale) stale.push(record);
  }
  return stale.toSorted((a, b) => a.failedDels - b.failedDels);
}

/** An unreadable lock is reported when the record's turn comes. */
async function isBusy(
  dataDir: string,
  { containerId }: RecordSummary,
): Promise<boolean> {
  try {
    return await isWorkedOn(dataDir, containerId);
  } catch {
    return false;
  }
}

/** `tried`: the records without valid attachments, deleted or not. */
async function deleteStaleRecords(
  context: Context,
  stale: readonly RecordSummary[],
  deadline: Deadline,
): Promise<{ tried: RecordSummary[]; errors: CniError[] }> {
  const tried: RecordSummary[] = [];
  const errors: CniError[] = [];
  for (const [i, record] of stale.entries()) {
    const left = stale.length - i;
    if (deadline.expired) {
      const problem = `no time left for ${left} stale records`;
      errors.push(new CniError(Code.tryAgainLater, problem));
      tried.push(...stale.slice(i));
      break;
    }
    try {
      const share = deadline.share(left, leastShareMs);
      if ((await deleteStale(context, record, share)) === "busy") continue;
    } catch (error) {
      errors.push(CniError.from(error));
    }
    tried.push(record);
  }
  return { tried, errors };
}

/** "gone": it has become another one in the meantime, or none; "busy": a living genie works on the container. */
type StaleOutcome = Awaited<ReturnType<typeof deleteRecord>> | "gone" | "busy";

/** Deletes a record as DEL would. */
export async function deleteStale(
  context: Context,
  record: Parameters<typeof isSameAdd>[0],
  deadline: Deadline,
): Promise<StaleOutcome> {
  const { dependencies, records } = context;
  const remove = async (lock: Lock): Promise<StaleOutcome> => {
    const current = await records.read(record);
    if (!current || !isSameAdd(current, record)) return "gone";
    const netns = recordedNetns(current, dependencies.bootId());
    return deleteRecord(context, current, netns, lock, deadline);
  };
  return (
    (await tryWithContainerLock(
      context,
      record.containerId,
      deadline,
      remove,
    )) ?? "busy"
  );
}

/**
 * Deletes unreadable records of containers that the runtime does not know, as no
 * DEL will move them aside. Each is an error once, as at DEL.
 */
async function deleteUnreadableRecords(
  context: Context,
  { records, unreadable }: RecordSurvey,
  valid: ValidAttachments,
  deadline: Deadline,
): Promise<CniError[]> {
  const { request } = context;
  // A record of another genie network: `confDir` is not all that the node has.
  if (records.some(({ network }) => network !== request.config.name)) return [];
  const now = context.dependencies.now().getTime();
  const isSettled = (name: string): boolean =>
    (recordDirectory(context).ageOf(name, now) ?? 0) >= settledMs;
  const errors: CniError[] = [];
  for (const { name, error } of unreadable) {
    if (!(error instanceof CorruptRecord) || valid.hasName(name)) continue;
    if (!isSettled(name)) continue;
    try {
      await deleteUnreadable(context, name, deadline, isSettled);
    } catch (cause) {
      errors.push(CniError.from(cause));
    }
  }
  return errors;
}

/**
 * Moves an unreadable record aside, and deletes its attachments as far as they are known,
 * as DEL would. Throws the error 5 that says so.
 */
async function deleteUnreadable(
  context: Context,
  name: string,
  deadline: Deadline,
  isSettled: (name: string) => boolean,
): Promise<void> {
  const { records } = context;
  const [containerId = "", ifname] = name.split(":");
  if (ifname === undefined) {
    // A hashed name: the container is unknown, and cannot be locked.
    records.setAside(name);
    throw new RecordError(
      `unreadable attachment record ${name} was moved aside`,
      undefined,
    );
  }
  const pair = { containerId, ifname, netns: "", args: "" };
  const request = { ...context.request, ...pair };
  await tryWithContainerLock(context, containerId, deadline, async (lock) => {
    // An ADD may have written another one in the meantime.
    if (!isSettled(name)) return;
    await deleteRecorded({ ...context, request }, lock, deadline);
  });
}
