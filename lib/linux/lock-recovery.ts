/**
 * The owner of a taken lock (state.md "Processes and locks"): a living genie, for
 * which we wait, or an orphan of a killed genie, which we kill. The only module
 * that inspects and kills other processes. Loaded if a lock is taken.
 *
 * It never follows descriptors of other processes: a file on a dead network mount
 * would block us. The text of the link and the kernel's list of a descriptor's
 * locks are enough.
 */
import { readlinkSync } from "node:fs";
import type { Deadline } from "./deadline.ts";
import { listIfAny, readFile } from "./files.ts";
import { readAt, status } from "./file-calls.ts";
import { processState } from "./process-state.ts";
import { textOf } from "./text.ts";

interface WrittenOwner {
  pid: number;
  startTime: string;
  isAlive: boolean;
}

/** The owner written in a lock; undefined if there is none, and for a directory. */
export function writtenOwner(fd: number): WrittenOwner | undefined {
  const buffer = new Uint8Array(64);
  try {
    const text = textOf(buffer.subarray(0, readAt(fd, buffer, 0)));
    const [, pid, startTime] = /^(\d+) (\d+) *$/.exec(text) ?? [];
    if (!pid || !startTime) return undefined;
    const now = processState(Number(pid));
    const isAlive = now?.startTime === startTime && !/[ZX]/.test(now.state);
    return { pid: Number(pid), startTime, isAlive };
  } catch {
    return undefined;
  }
}

/**
 * Milliseconds between two scans of all processes: the first, doubled each time,
 * and the longest.
 */
const firstPause = 50;
const longestPause = 1000;
/**
 * How long a lock may name another owner before the process that took it does not
 * count as a genie: a genie writes its own name right after it took the lock.
 */
const strangerMs = 1000;

/** Finds the owner of one taken lock, repeatedly during the wait; kills orphans. */
export class LockRecovery {
  readonly #mark: string;
  readonly #deadline: Deadline;
  /** The remaining milliseconds of the deadline at which the next scan is due. */
  #nextLook = Number.POSITIVE_INFINITY;
  #pause = firstPause;
  #seen: number | undefined;
  #stranger: { pid: number; remaining: number } | undefined;

  /** `mark`: the entry `NAME=value` in the environment of the lock's delegates. */
  constructor(mark: string, deadline: Deadline) {
    this.#mark = mark;
    this.#deadline = deadline;
  }

  /**
   * The living process that owns the lock. undefined if none is known: an orphan
   * was killed, or the owner is not visible.
   */
  ownerOf(fd: number): number | undefined {
    const written = writtenOwner(fd);
    if (written?.isAlive) return written.pid;
    const { remaining } = this.#deadline;
    if (remaining > this.#nextLook) return this.#seen;
    this.#nextLook = remaining - this.#pause;
    this.#pause = Math.min(2 * this.#pause, longestPause);
    this.#seen = this.#look(fd, written?.startTime);
    return this.#seen;
  }

  #look(fd: number, writtenStart: string | undefined): number | undefined {
    const lock = lockedFile(fd);
    if (!lock) return undefined;
    const processes = processesWith(lock);
    // On a read-only disk no genie can write its name.
    const known = lock.isReadOnly ? undefined : writtenStart;
    for (const { owner } of processes) {
      // Taken after the scan passed it: its delegates are not orphans.
      if (!hasLock(owner, lock)) continue;
      const isGenie =
        known === undefined || processState(owner)?.startTime === known;
      if (isGenie || !this.#isStranger(owner)) return owner;
    }
    for (const { pid } of processes) {
      // Second look: when the owner ends orderly, all others lose the lock too.
      if (hasLock(pid, lock)) killOrphan(pid, this.#mark);
    }
    return undefined;
  }

  #isStranger(pid: number): boolean {
    const { remaining } = this.#deadline;
    if (this.#stranger?.pid !== pid) this.#stranger = { pid, remaining };
    return this.#stranger.remaining - remaining >= strangerMs;
  }
}

/** A locked file, as the kernel names it. */
interface LockedFile {
  /** The text of the links in /proc/<pid>/fd. */
  path: string;
  inode: string;
  /** The file is open for reading only. */
  isReadOnly: boolean;
}

/** A process that has the lock by its own or an inherited descriptor. */
interface LockProcess {
  pid: number;
  /** The process that took the lock; 0 if it is gone, or in another pid namespace. */
  owner: number;
}

/** undefined without /proc. */
function lockedFile(fd: number): LockedFile | undefined {
  try {
    const info = readFile(`/proc/self/fdinfo/${fd}`);
    return {
      path: readlinkSync(`/proc/self/fd/${fd}`),
      // Since Linux 5.14. stat returns another number on overlayfs.
      inode:
        /^ino:\s*(\d+)$/m.exec(info)?.[1] ?? status(fd).id.replace(/.*:/, ""),
      // In octal; the last two bits are O_ACCMODE.
      isReadOnly: /^flags:\s*\d*[04]$/m.test(info),
    };
  } catch {
    return undefined;
  }
}

/** All other processes that have the lock; a mere reader of the file does not. */
function processesWith(lock: LockedFile): LockProcess[] {
  return listIfAny("/proc").flatMap((entry) => {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    const owner = ownerBy(pid, lock);
    return owner === undefined ? [] : [{ pid, owner }];
  });
}

function hasLock(pid: number, lock: LockedFile): boolean {
  return pid > 0 && ownerBy(pid, lock) !== undefined;
}

/** The process that took the lock which this process has; undefined if it has none. */
function ownerBy(pid: number, { path, inode }: LockedFile): number | undefined {
  try {
    for (const fd of listIfAny(`/proc/${pid}/fd`)) {
      if (!isSamePath(linkText(`/proc/${pid}/fd/${fd}`), path)) continue;
      const info = readFile(`/proc/${pid}/fdinfo/${fd}`);
      const owner = flockIn(info, inode);
      if (owner !== undefined) return owner;
    }
  } catch {
    // EACCES: not ours to kill. ESRCH: it ended.
  }
  return undefined;
}

/**
 * Whether two texts can name one file: of a mount that was removed lazily, and of one
 * in another place, only the end is the same.
 */
function isSamePath(a: string, b: string): boolean {
  return a.startsWith("/") && (a.endsWith(b) || b.endsWith(a));
}

/** Empty if the descriptor was closed during the scan. */
function linkText(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/**
 * The process that called flock, from a line `lock: 1: FLOCK ADVISORY WRITE 4711 fe:00:1234 0 EOF`.
 * Its device is not compared: btrfs and overlayfs report another one elsewhere.
 */
function flockIn(info: string, inode: string): number | undefined {
  const lines = info.matchAll(
    /^lock:\s+\d+:\s+FLOCK\s+\S+\s+\S+\s+(\d+)\s+[\da-f]+:[\da-f]+:(\d+)\s/gm,
  );
  for (const [, owner, ofInode] of lines) {
    if (ofInode === inode) return Number(owner);
  }
  return undefined;
}

/**
 * A delegate leads a session of its own and has the mark in its environment: it is
 * killed with its process group. Any other process is killed alone.
 */
function killOrphan(pid: number, mark: string): void {
  const leader = processState(pid)?.group ?? 0;
  const isDelegates =
    leader > 1 &&
    processState(leader)?.session === leader &&
    hasVariable(leader, mark);
  try {
    process.kill(isDelegates ? -leader : pid, "SIGKILL");
  } catch {
    // ESRCH: it ended by itself.
  }
}

function hasVariable(pid: number, mark: string): boolean {
  try {
    return readFile(`/proc/${pid}/environ`).split("\0").includes(mark);
  } catch {
    return false;
  }
}
