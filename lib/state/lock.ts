/**
 * One container's operations never run over each other (state.md "Processes and locks"). The
 * lock is a flock whose descriptor the delegates inherit, so that it outlives a killed genie
 * for as long as an orphaned delegate runs; `lock-recovery`, loaded when a lock is taken
 * already, ends such orphans.
 */
import { Code, CniError } from "../cni/error.ts";
import type { Deadline } from "../linux/deadline.ts";
import { UnsafeDirectory, errnoOf, messageOf } from "../linux/errno.ts";
import {
  Open,
  close,
  open,
  openIfAny,
  rename,
  status,
  write,
} from "../linux/file-calls.ts";
import { tryLock, tryShare, unlock } from "../linux/file-lock.ts";
import {
  directoryOf,
  makeOwnDirectory,
  removeFile,
  requireOwnDirectory,
  statusIfAny,
} from "../linux/files.ts";
import type { LockRecovery } from "../linux/lock-recovery.ts";
import { processState } from "../linux/process-state.ts";
import { bytesOf, quote } from "../linux/text.ts";

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
        if (isStill(path, fd)) {
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
 * The directory, if it is taken: the lock of {@link openInstead}, whose owner, or an
 * orphan of it, may still work after the disk became writable.
 */
function takenDirectory(path: string, fd: number): number | undefined {
  // It is our own lock.
  if (status(fd).kind === "directory") return undefined;
  const directory = openDirectory(directoryOf(path));
  if (!take(tryShare, directory, path)) return directory;
  close(directory);
  return undefined;
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
    if (take(tryLock, fd, path) && isStill(path, fd)) lock = owned(path, fd);
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

export function lockPath(dataDir: string, containerId: string): string {
  const name =
    containerId.length > 200
      ? new Bun.CryptoHasher("sha256").update(containerId).digest("hex")
      : containerId;
  return `${dataDir}/locks/${name}`;
}

/** O_NOFOLLOW: a symbolic link is not a lock of ours. O_NONBLOCK: opening a FIFO must not block. */
const opening = Open.readWrite | Open.noFollow | Open.nonBlocking;

/** undefined also for a directory, which is never a lock. */
function openIfLeft(path: string): number | undefined {
  try {
    return openIfAny(path, opening);
  } catch (cause) {
    if (errnoOf(cause) === "EISDIR") return undefined;
    throw openError(path, cause);
  }
}

function openLock(path: string): number {
  const flags = opening | Open.create;
  const directory = directoryOf(path);
  requireOwnDirectory(directory);
  try {
    const fd = openIfAny(path, flags, 0o600);
    if (fd !== undefined) return fd;
    makeOwnDirectory(directory);
    return open(path, flags, 0o600);
  } catch (cause) {
    const instead = openInstead(path, directory, errnoOf(cause));
    if (instead === undefined) throw openError(path, cause);
    return instead;
  }
}

function openDirectory(path: string): number {
  try {
    return open(path, Open.readOnly | Open.noFollow);
  } catch (cause) {
    throw openError(path, cause);
  }
}

/** 5, or 11 where the node has too few descriptors now. */
export function openError(path: string, cause: unknown): CniError {
  return lockError("open lock", path, cause, CniError.from(cause).code);
}

/** The disk became read-only, or has no inode left. */
const unwritable = /^(?:EROFS|ENOSPC|EDQUOT)$/;

/** For a disk on which no lock file can be made: pods must be deleted all the same. */
function openInstead(
  path: string,
  directory: string,
  errno = "",
): number | undefined {
  if (errno === "EISDIR") {
    // No genie has a directory open for writing.
    rename(path, `${path}.corrupt`);
    return open(path, opening | Open.create, 0o600);
  }
  if (!unwritable.test(errno)) return undefined;
  // The file if there is one, whose lock an orphan may have; else the directory, which
  // is then one lock for all containers.
  const flags = Open.readOnly | Open.noFollow;
  return (
    openIfAny(path, flags | Open.nonBlocking) ?? openIfAny(directory, flags)
  );
}

/**
 * Whether flock took it; false if another process has it. Throws 5 for every other
 * failure, which is permanent.
 */
export function take(
  flock: (fd: number) => boolean,
  fd: number,
  path: string,
): boolean {
  try {
    return flock(fd);
  } catch (cause) {
    throw lockError("take lock", path, cause);
  }
}

function lockError(
  action: string,
  path: string,
  cause: unknown,
  code: number = Code.io,
): CniError {
  if (cause instanceof UnsafeDirectory) return CniError.from(cause);
  const errno = errnoOf(cause);
  const problem =
    errno === "ELOOP" ? "it is a symbolic link" : messageOf(cause);
  const name = errno === undefined ? "" : ` (${errno})`;
  return new CniError(
    code,
    `failed to ${action} ${quote(path)}: ${problem}${name}`,
    { cause },
  );
}

/**
 * Whether the locked file still has the name; for the directory of {@link openInstead},
 * whether there is still no file. Throws 5 for any other kind of file.
 */
function isStill(path: string, fd: number): boolean {
  const { kind, id } = status(fd);
  if (kind === "directory") return statusIfAny(path) === undefined;
  if (kind !== "file")
    throw lockError("take lock", path, new Error("it is no regular file"));
  return statusIfAny(path)?.id === id;
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
  // Fixed length, so that nothing of a former owner remains after it.
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
