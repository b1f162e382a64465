/**
 * One container's operations never run over each other (state.md "Processes and
 * locks"). The lock is a flock on `<dataDir>/locks/<containerID>`; delegates
 * inherit its descriptor, so it outlives a genie that was killed for as long as
 * an orphaned delegate of it still runs. Such an orphan is killed here.
 */
import type { Deadline } from "../cni/deadline.ts";
import { Code, CniError, messageOf } from "../cni/error.ts";
import {
  makeOwnFolder,
  removeFile,
  requireOwnFolder,
  statusIfAny,
} from "../cni/files.ts";
import {
  Open,
  close,
  open,
  openIfAny,
  status,
  tryLock,
  tryShare,
  unlock,
} from "../cni/libc.ts";
import { writeHolder } from "./holder.ts";

export interface Lock {
  /** What delegates inherit. */
  readonly fd: number;
  /**
   * Removes the file and gives the lock up for every inheritor: a daemon that a
   * delegate left behind must not keep it.
   */
  release(): void;
}

/** Does `work` while nobody else works on the container. Throws as {@link lockContainer}, and what `work` throws. */
export async function whileLocked<T>(
  { config, world }: Locking,
  containerId: string,
  deadline: Deadline,
  work: (lock: Lock) => Promise<T>,
): Promise<T> {
  const { dataDir } = config;
  const lock =
    lockIfFree(lockPath(dataDir, containerId)) ??
    (await lockContainer(dataDir, containerId, deadline, world.sleep));
  try {
    return await work(lock);
  } finally {
    lock.release();
  }
}

/** What of an operation it needs to lock. */
interface Locking {
  config: { dataDir: string };
  world: { sleep(ms: number): Promise<void> };
}

const pollMs = 10;
/** How long a dead holder must be seen before its orphans are killed: see {@link lockContainer}. */
const graceMs = 50;

/** Waits within `deadline` for a living holder. Throws 11 when the time is over, 5 for the disk. */
export async function lockContainer(
  dataDir: string,
  containerId: string,
  deadline: Deadline,
  sleep: (ms: number) => Promise<void> = Bun.sleep,
): Promise<Lock> {
  const path = lockPath(dataDir, containerId);
  for (;;) {
    const fd = openLock(path);
    if (tryLock(fd)) {
      if (isStill(path, fd)) return held(path, fd);
      // Removed by the holder before us; whoever comes next makes a new file.
      close(fd);
      continue;
    }
    const { holderOf, isAlive, killInheritors, sameHolder } =
      await import("./inheritors.ts");
    const holder = holderOf(path, fd);
    if (!isAlive(holder)) {
      // The holder may just have changed: a new one writes itself down right
      // after it got the lock. What still stands there after a moment is true,
      // unless the lock was given up: then nobody needs to be killed.
      await sleep(graceMs);
      if (!tryLock(fd) && sameHolder(holderOf(path, fd), holder)) {
        killInheritors(fd);
      }
    }
    close(fd);
    if (deadline.expired) {
      throw new CniError(
        Code.tryAgainLater,
        `container ${containerId} is locked by another operation (process ${holder.pid})`,
      );
    }
    await sleep(deadline.atMost(pollMs).remaining);
  }
}

/** undefined when somebody has it, or had it just now. */
export function lockIfFree(path: string): Lock | undefined {
  const fd = openLock(path);
  if (tryLock(fd) && isStill(path, fd)) return held(path, fd);
  close(fd);
  return undefined;
}

/**
 * What keeps ADD out while a network's GC has its list (cni-plugin.md P-GC-5):
 * GC is alone with the records from the making of the list to the end of the
 * plugins, ADD shares the lock only while it writes its record. So a record is
 * either in the list, or its delegates run after the plugins are done.
 */
export async function withRecords<T>(
  mode: "share" | "alone",
  dataDir: string,
  deadline: Deadline,
  sleep: (ms: number) => Promise<void>,
  work: () => T | Promise<T>,
): Promise<T> {
  const fd = openRecords(dataDir);
  const take = mode === "share" ? tryShare : tryLock;
  try {
    while (!take(fd)) {
      if (deadline.expired) {
        throw new CniError(
          Code.tryAgainLater,
          "the attachment records are locked by another operation",
        );
      }
      await sleep(deadline.atMost(pollMs).remaining);
    }
    return await work();
  } finally {
    close(fd);
  }
}

/** As {@link withRecords} that shares, where nobody has them alone: undefined then, and nothing was done. */
export function whileShared<T>(dataDir: string, work: () => T): T | undefined {
  const fd = openRecords(dataDir);
  try {
    return tryShare(fd) ? work() : undefined;
  } finally {
    close(fd);
  }
}

/** The folder itself is what is locked: there is no file that could be left. */
function openRecords(dataDir: string): number {
  const folder = `${dataDir}/attachments`;
  const flags = Open.readOnly | Open.noFollow;
  requireOwnFolder(folder);
  const fd = openIfAny(folder, flags);
  if (fd !== undefined) return fd;
  makeOwnFolder(folder);
  return open(folder, flags);
}

export function lockPath(dataDir: string, containerId: string): string {
  const name =
    containerId.length > 200
      ? new Bun.CryptoHasher("sha256").update(containerId).digest("hex")
      : containerId;
  return `${dataDir}/locks/${name}`;
}

function held(path: string, fd: number): Lock {
  writeHolder(fd);
  return {
    fd,
    release() {
      try {
        removeFile(path);
      } catch {
        // A disk that became read-only: the file says of a process that ended.
      } finally {
        unlock(fd);
        close(fd);
      }
    },
  };
}

function openLock(path: string): number {
  const flags = Open.readWrite | Open.create | Open.noFollow | Open.nonBlocking;
  const folder = path.slice(0, path.lastIndexOf("/"));
  requireOwnFolder(folder);
  try {
    const fd = openIfAny(path, flags, 0o600);
    if (fd !== undefined) return fd;
    makeOwnFolder(folder);
    return open(path, flags, 0o600);
  } catch (cause) {
    throw new CniError(
      Code.io,
      `failed to open lock ${path}: ${messageOf(cause)}`,
      { cause },
    );
  }
}

/** Whether the locked file is the one that has the name. */
function isStill(path: string, fd: number): boolean {
  return statusIfAny(path)?.id === status(fd).id;
}
