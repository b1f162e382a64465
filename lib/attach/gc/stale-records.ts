/**
 * The cleaning of `dataDir` (state.md "CHECK, GC, STATUS"): records that the runtime of a GC
 * does not know are deleted as by DEL, unreadable ones are moved aside, and files of a
 * killed genie are removed.
 */
import { CniError, Code } from "../../cni/error.ts";
import type { Deadline } from "../../linux/deadline.ts";
import { listIfAny } from "../../linux/files.ts";
import { recordedNetns } from "../../linux/netns.ts";
import { requireOwnDirectory } from "../../linux/own-files.ts";
import {
  type Lock,
  isWorkedOn,
  lockIfLeft,
  tryWithContainerLock,
} from "../../state/lock.ts";
import {
  abandonedRecords,
  recordDirectory,
} from "../../state/record-directory.ts";
import { CorruptRecord, RecordError, isSameAdd } from "../../state/record.ts";
import type { Context } from "../context.ts";
import { deleteRecord, deleteRecorded } from "../del.ts";
import { leastShareMs } from "../delete-attachments.ts";
import type { RecordSummary, RecordSurvey } from "./record-survey.ts";
import type { ValidAttachments } from "./valid-attachments.ts";

/** A younger record may belong to an ADD that the runtime's list does not have yet. */
const settledMs = 60_000;

/**
 * Records of this network that are unknown to the runtime, settled, and not worked on.
 * Those with fewer failed DELs come first, so that every GC makes progress.
 */
export async function staleRecords(
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
export async function deleteStaleRecords(
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
export async function deleteUnreadableRecords(
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

/** Removes locks, temporary files and notes without a record, which a killed genie left. */
export async function removeOrphanedFiles(
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
  await attempt(async () => {
    requireOwnDirectory(directory);
    for (const containerId of listIfAny(directory))
      await attempt(() => lockIfLeft(`${directory}/${containerId}`)?.release());
  });
  await attempt(() => records.removeLoneNotes());
  return errors;
}
