/**
 * No ADD writes a record while a GC tells networks what is valid (state.md "Processes and
 * locks", cni-plugin.md P-GC-5): a flock on the directory of records, shared by ADDs.
 */
import { noContainer } from "../cni/invoke.ts";
import type { Deadline } from "../linux/deadline.ts";
import { Open, close, open, openIfAny } from "../linux/file-calls.ts";
import { tryLock, tryShare, unlock } from "../linux/flock.ts";
import { makeOwnDirectory, requireOwnDirectory } from "../linux/own-files.ts";
import type { LockRecovery } from "../linux/lock-recovery.ts";
import {
  type Lock,
  type LockContext,
  lockedError,
  pollMs,
  recoveryOf,
} from "./lock.ts";
import { openError, take } from "./lock-file.ts";

/**
 * Runs `work`, which writes a record, while no GC is alone with the records: a record
 * is either in the list of a GC, or its delegates run after the plugins of that GC.
 * Throws 11 when the time is over, 5 for the disk.
 */
export function withSharedRecords<T>(
  context: LockContext,
  deadline: Deadline,
  work: () => T,
): Promise<T> {
  return withRecords(tryShare, context, deadline, work);
}

/**
 * Runs `work` while no ADD writes a record and no other GC is at work. `work` gets the
 * descriptor for its delegates, so that an orphan of a killed GC keeps ADD out too,
 * until it is ended. Throws 11 when the time is over, 5 for the disk.
 */
export function withRecordsAlone<T>(
  context: LockContext,
  deadline: Deadline,
  work: (lock: Pick<Lock, "fd">) => Promise<T>,
): Promise<T> {
  return withRecords(tryLock, context, deadline, async (lock) => {
    try {
      return await work(lock);
    } finally {
      // Releases it for every process that inherited it.
      unlock(lock.fd);
    }
  });
}

async function withRecords<T>(
  flock: (fd: number) => boolean,
  { config, dependencies }: LockContext,
  deadline: Deadline,
  work: (lock: Pick<Lock, "fd">) => T | Promise<T>,
): Promise<T> {
  const directory = `${config.dataDir}/attachments`;
  const fd = openRecords(directory);
  let recovery: LockRecovery | undefined;
  try {
    while (!take(flock, fd, directory)) {
      recovery ??= await recoveryOf(noContainer, deadline);
      const owner = recovery.ownerOf(fd);
      if (deadline.expired)
        throw lockedError("the attachment records are", owner);
      await dependencies.sleep(deadline.atMost(pollMs).remaining);
    }
    return await work({ fd });
  } finally {
    close(fd);
  }
}

/** Locks the directory itself, so no file can remain. */
function openRecords(path: string): number {
  const flags = Open.readOnly | Open.noFollow;
  requireOwnDirectory(path);
  try {
    const fd = openIfAny(path, flags);
    if (fd !== undefined) return fd;
    makeOwnDirectory(path);
    return open(path, flags);
  } catch (cause) {
    throw openError(path, cause);
  }
}
