/**
 * Operations of one container never overlap (state.md "Processes and locks"). The lock is a
 * flock whose descriptor the delegates inherit, so that it outlives a killed genie for as
 * long as an orphaned delegate runs; `lock-recovery`, loaded when a lock is taken already,
 * ends such orphans.
 */
import { Code, CniError } from "../cni/error.ts";
import type { Deadline } from "../linux/deadline.ts";
import { Open, close, open, write } from "../linux/file-calls.ts";
import { tryLock, unlock } from "../linux/flock.ts";
import { removeFile } from "../linux/files.ts";
import type { LockRecovery } from "../linux/lock-recovery.ts";
import { processState } from "../linux/process-state.ts";
import { bytesOf } from "../linux/text.ts";
import {
  takenDirectory,
  lockPath,
  openIfLeft,
  openLock,
  take,
  isStillNamed,
} from "./lock-file.ts";

export interface Lock {
  /** The descriptor that delegates inherit. */
  readonly fd: number;
  /**
   * Removes the file and gives the lock up for every process that inherited it: a
   * daemon that a delegate left behind must not keep it.
   */
  release(): void;
}

/** The part of a context that locking needs. */
export interface LockContext {
  config: { dataDir: string };
  dependencies: { sleep(ms: number): Promise<void> };
}

/**
 * Runs `work` while no other operation works on the container; waits within `deadline`
 * for a living owner. Throws 11 when the time is over, 5 for the disk, and the errors of
 * `work`.
 */
export async function withContainerLock<T>(
  context: LockContext,
  containerId: string,
  deadline: Deadline,
  work: (lock: Lock) => Promise<T>,
): Promise<T> {
  const lock = await lockContainer(context, containerId, deadline);
  try {
    return await work(lock);
  } finally {
    lock.release();
  }
}

/**
 * As {@link withContainerLock}; undefined without any work if a living genie works on
 * the container.
 */
export async function tryWithContainerLock<T>(
  context: LockContext,
  containerId: string,
  deadline: Deadline,
  work: (lock: Lock) => Promise<T>,
): Promise<T | undefined> {
  const lock = await acquire(context, containerId, deadline, (owner) =>
    owner === undefined ? undefined : "busy",
  );
  if (lock === "busy") return undefined;
  try {
    return await work(lock);
  } finally {
    lock.release();
  }
}

/** Waits within `deadline` for a living owner. Throws 11 when the time is over, 5 for the disk. */
export function lockContainer(
  context: LockContext,
  containerId: string,
  deadline: Deadline,
): Promise<Lock> {
  return acquire<never>(context, containerId, deadline, () => undefined);
}

/** Milliseconds between two attempts. */
export const pollMs = 10;

/** `whenTaken` gets the living owner, if one is known; any result but undefined ends the waiting. */
async function acquire<T>(
  { config, dependencies }: LockContext,
  containerId: string,
  deadline: Deadline,
  whenTaken: (owner: number | undefined) => T | undefined,
): Promise<Lock | T> {
  const path = lockPath(config.dataDir, containerId);
  let recovery: LockRecovery | undefined;
  for (;;) {
    const fd = openLock(path);
    let directory: number | undefined;
    let lock: Lock | undefined;
    try {
      if (take(tryLock, fd, path)) {
        if (isStillNamed(path, fd)) {
          directory = takenDirectory(path, fd);
          if (directory === undefined) return (lock = owned(path, fd));
        }
        // Its owner has removed the file before us: the next one makes a new file.
        else if (!deadline.expired) continue;
      }
      recovery ??= await recoveryOf(containerId, deadline);
      const owner = recovery.ownerOf(directory ?? fd);
      const outcome = whenTaken(owner);
      if (outcome !== undefined) return outcome;
      if (deadline.expired)
        throw lockedError(`container ${containerId} is`, owner);
    } finally {
      if (!lock) close(fd);
      if (directory !== undefined) close(directory);
    }
    await dependencies.sleep(deadline.atMost(pollMs).remaining);
  }
}

/**
 * Names the container in a delegate's environment: the mark of an orphan, and of genie
 * executed by a delegate (selection.md §4).
 */
export const containerVariable = "GENIE_CONTAINER";

/** Loaded when a lock is taken. */
export async function recoveryOf(
  containerId: string,
  deadline: Deadline,
): Promise<LockRecovery> {
  const { LockRecovery } = await import("../linux/lock-recovery.ts");
  return new LockRecovery(`${containerVariable}=${containerId}`, deadline);
}

export function lockedError(
  subject: string,
  owner: number | undefined,
): CniError {
  const by = owner === undefined ? "" : ` (process ${owner})`;
  return new CniError(
    Code.tryAgainLater,
    `${subject} locked by another operation${by}`,
  );
}

/**
 * Takes an abandoned lock without making a file; undefined if there is none, or if it
 * is taken. Throws 5.
 */
export function lockIfLeft(path: string): Lock | undefined {
  const fd = openIfLeft(path);
  if (fd === undefined) return undefined;
  let lock: Lock | undefined;
  try {
    if (take(tryLock, fd, path) && isStillNamed(path, fd))
      lock = owned(path, fd);
    return lock;
  } finally {
    if (!lock) close(fd);
  }
}

/**
 * Whether a living genie works on the container; otherwise the lock is free or an
 * orphan owns it.
 */
export async function isWorkedOn(
  dataDir: string,
  containerId: string,
): Promise<boolean> {
  const path = lockPath(dataDir, containerId);
  const fd = openIfLeft(path);
  if (fd === undefined) return false;
  try {
    if (take(tryLock, fd, path)) return false;
    const { writtenOwner } = await import("../linux/lock-recovery.ts");
    return writtenOwner(fd)?.isAlive ?? false;
  } finally {
    close(fd);
  }
}

function owned(path: string, fd: number): Lock {
  writeOwner(path, fd);
  return {
    fd,
    release() {
      try {
        removeFile(path);
      } catch {
        // A disk that became read-only: the file names a process that ended.
      } finally {
        unlock(fd);
        close(fd);
      }
    },
  };
}

/** Writes our process number and start time into a lock that we have just taken. */
function writeOwner(path: string, fd: number): void {
  const { startTime = "" } = processState(process.pid) ?? {};
  // Fixed length, so that nothing of an earlier owner remains after it.
  const line = `${process.pid} ${startTime}`.padEnd(40);
  try {
    write(fd, bytesOf(line));
  } catch {
    // A full disk must not stop a DEL. If the file is empty, the kernel names the
    // owner.
    empty(path);
  }
}

function empty(path: string): void {
  try {
    close(open(path, Open.writeOnly | Open.truncate));
  } catch {
    // A read-only disk must not stop a DEL either.
  }
}
