/**
 * One container's operations never run over each other (state.md "Processes and
 * locks"). The lock is a flock on `<dataDir>/locks/<containerID>`. Delegates
 * inherit its descriptor, so it outlives a genie that was killed for as long as
 * an orphaned delegate of it runs; `lock-recovery` ends such orphans.
 */
import type { Deadline } from "../linux/deadline.ts";
import { Code, CniError } from "../cni/error.ts";
import { UnsafeDirectory, errnoOf, messageOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import {
  makeOwnDirectory,
  removeFile,
  requireOwnDirectory,
  statusIfAny,
} from "../linux/files.ts";
import {
  Open,
  close,
  open,
  openIfAny,
  status,
  tryLock,
  unlock,
} from "../linux/libc.ts";
import { isAlive, writeOwner, writtenOwner } from "./lock-owner.ts";
import type { LockRecovery } from "./lock-recovery.ts";

export interface Lock {
  /** What delegates inherit. */
  readonly fd: number;
  /**
   * Removes the file and gives the lock up for every process that inherited it: a
   * daemon that a delegate left behind must not keep it.
   */
  release(): void;
}

/** What of an operation it needs to lock. */
interface Locking {
  config: { dataDir: string };
  dependencies: { sleep(ms: number): Promise<void> };
}

/** Does `work` while nobody else works on the container. Throws as {@link lockContainer}, and what `work` throws. */
export async function whileLocked<T>(
  { config, dependencies }: Locking,
  containerId: string,
  deadline: Deadline,
  work: (lock: Lock) => Promise<T>,
): Promise<T> {
  const { dataDir } = config;
  const lock =
    lockIfFree(lockPath(dataDir, containerId)) ??
    (await lockContainer(dataDir, containerId, deadline, dependencies.sleep));
  try {
    return await work(lock);
  } finally {
    lock.release();
  }
}

/** As {@link whileLocked}; undefined where a living genie works on the container: then nothing was done. */
export async function whileIdle<T>(
  { config, dependencies }: Locking,
  containerId: string,
  deadline: Deadline,
  work: (lock: Lock) => Promise<T>,
): Promise<T | undefined> {
  const place = { dataDir: config.dataDir, containerId };
  const lock = await acquire(place, deadline, dependencies.sleep, (owner) =>
    owner === undefined ? undefined : "owned",
  );
  if (lock === "owned") return undefined;
  try {
    return await work(lock);
  } finally {
    lock.release();
  }
}

/** Waits within `deadline` for a living owner. Throws 11 when the time is over, 5 for the disk. */
export function lockContainer(
  dataDir: string,
  containerId: string,
  deadline: Deadline,
  sleep: (ms: number) => Promise<void> = Bun.sleep,
): Promise<Lock> {
  const place = { dataDir, containerId };
  return acquire<never>(place, deadline, sleep, () => undefined);
}

const pollMs = 10;

/** `whenHeld` is told the living owner, if one is known; what it returns ends the waiting. */
async function acquire<T>(
  { dataDir, containerId }: { dataDir: string; containerId: string },
  deadline: Deadline,
  sleep: (ms: number) => Promise<void>,
  whenHeld: (owner: number | undefined) => T | undefined,
): Promise<Lock | T> {
  const path = lockPath(dataDir, containerId);
  let recovery: LockRecovery | undefined;
  for (;;) {
    const fd = openLock(path);
    let lock: Lock | undefined;
    try {
      if (take(tryLock, fd, path)) {
        if (isStill(path, fd)) return (lock = owned(path, fd));
        // Its owner has removed it before us: whoever comes next makes a new file.
        if (!deadline.expired) continue;
      }
      recovery ??= await recoveryOf(containerId, deadline);
      const owner = recovery.ownerOf(fd);
      const outcome = whenHeld(owner);
      if (outcome !== undefined) return outcome;
      if (deadline.expired)
        throw lockedError(`container ${containerId} is`, owner);
    } finally {
      if (!lock) close(fd);
    }
    await sleep(deadline.atMost(pollMs).remaining);
  }
}

/** Loaded when somebody has the lock. */
export async function recoveryOf(
  containerId: string,
  deadline: Deadline,
): Promise<LockRecovery> {
  const { LockRecovery } = await import("./lock-recovery.ts");
  return new LockRecovery(containerId, deadline);
}

export function lockedError(what: string, owner: number | undefined): CniError {
  const who = owner === undefined ? "" : ` (process ${owner})`;
  return new CniError(
    Code.tryAgainLater,
    `${what} locked by another operation${who}`,
  );
}

/** undefined when somebody has it, or had it just now. Throws 5. */
export function lockIfFree(path: string): Lock | undefined {
  return lockOpened(path, openLock(path));
}

/** As {@link lockIfFree}, but makes no file: undefined where there is none. */
export function lockIfLeft(path: string): Lock | undefined {
  const fd = openLeft(path);
  return fd === undefined ? undefined : lockOpened(path, fd);
}

/** Whether a living genie works on the container, as it is written down; without one the lock is nobody's or an orphan's. */
export function isWorkedOn(dataDir: string, containerId: string): boolean {
  const path = lockPath(dataDir, containerId);
  const fd = openLeft(path);
  if (fd === undefined) return false;
  try {
    if (take(tryLock, fd, path)) return false;
    const owner = writtenOwner(fd);
    return owner !== undefined && isAlive(owner);
  } finally {
    close(fd);
  }
}

function lockOpened(path: string, fd: number): Lock | undefined {
  let lock: Lock | undefined;
  try {
    if (take(tryLock, fd, path) && isStill(path, fd)) lock = owned(path, fd);
    return lock;
  } finally {
    if (!lock) close(fd);
  }
}

export function lockPath(dataDir: string, containerId: string): string {
  const name =
    containerId.length > 200
      ? new Bun.CryptoHasher("sha256").update(containerId).digest("hex")
      : containerId;
  return `${dataDir}/locks/${name}`;
}

/** No symbolic link is followed and the other end of no named pipe is waited for: neither is a lock of ours. */
const opening = Open.readWrite | Open.noFollow | Open.nonBlocking;

/** Of a lock that may have been removed in the meantime. */
function openLeft(path: string): number | undefined {
  try {
    return openIfAny(path, opening);
  } catch (cause) {
    throw lockError("open lock", path, cause);
  }
}

function openLock(path: string): number {
  const flags = opening | Open.create;
  const directory = path.slice(0, path.lastIndexOf("/"));
  requireOwnDirectory(directory);
  try {
    const fd = openIfAny(path, flags, 0o600);
    if (fd !== undefined) return fd;
    makeOwnDirectory(directory);
    return open(path, flags, 0o600);
  } catch (cause) {
    const instead =
      errnoOf(cause) === "EROFS" ? openReadOnly(directory) : undefined;
    if (instead === undefined) throw lockError("open lock", path, cause);
    return instead;
  }
}

/** On a disk that became read-only, where pods must be deleted all the same: the directory, one lock for all containers. */
function openReadOnly(directory: string): number | undefined {
  return openIfAny(directory, Open.readOnly | Open.noFollow);
}

/** Whether flock took it; false when it is held. Throws 5 for every other failure, which would never pass by itself. */
export function take(
  operation: (fd: number) => boolean,
  fd: number,
  path: string,
): boolean {
  try {
    return operation(fd);
  } catch (cause) {
    throw lockError("take lock", path, cause);
  }
}

function lockError(action: string, path: string, cause: unknown): CniError {
  if (cause instanceof UnsafeDirectory) return CniError.from(cause);
  const errno = errnoOf(cause);
  const problem =
    errno === "ELOOP" ? "it is a symbolic link" : messageOf(cause);
  const name = errno === undefined ? "" : ` (${errno})`;
  return new CniError(
    Code.io,
    `failed to ${action} ${quote(path)}: ${problem}${name}`,
    { cause },
  );
}

/** Whether the locked file is the one that has the name; the directory of {@link openReadOnly} is. Throws 5 for anything else. */
function isStill(path: string, fd: number): boolean {
  const { kind, id } = status(fd);
  if (kind === "directory") return true;
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
