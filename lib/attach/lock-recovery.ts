/**
 * A lock that is held: by a living genie, which is waited for, or by what a
 * killed one left behind, which is ended (state.md "Processes and locks"). The
 * only module that looks at other processes and kills them; loaded when a lock
 * is held.
 *
 * Nobody's descriptors are followed: a file of a network that is down would hang
 * us. A symbolic link's text and the kernel's list of a descriptor's locks say
 * all that is asked.
 */
import { readlinkSync } from "node:fs";
import type { Deadline } from "../linux/deadline.ts";
import { listIfAny, readFile } from "../linux/files.ts";
import { status } from "../linux/libc.ts";
import { isAlive, processState, writtenOwner } from "./lock-owner.ts";

/** Milliseconds between two looks at all processes: the first, doubled each time, and the longest. */
const firstPause = 50;
const longestPause = 1000;
/**
 * How long somebody else must be written down in a lock before the process that
 * took it counts for a stranger: a genie writes itself down right after it took it.
 */
const strangerMs = 1000;

export class LockRecovery {
  readonly #containerId: string;
  readonly #deadline: Deadline;
  /** Of the deadline's milliseconds, how many are left when the processes are looked at again. */
  #nextLook = Number.POSITIVE_INFINITY;
  #pause = firstPause;
  #seen: number | undefined;
  #stranger: { pid: number; remaining: number } | undefined;

  /** `containerId`: the GENIE_CONTAINER of the lock's delegates. */
  constructor(containerId: string, deadline: Deadline) {
    this.#containerId = containerId;
    this.#deadline = deadline;
  }

  /**
   * The living process that owns the lock. undefined when none is known: then what
   * held it was killed, or it is out of our sight, and whoever waits tries again.
   */
  ownerOf(fd: number): number | undefined {
    const written = writtenOwner(fd);
    if (written && isAlive(written)) return written.pid;
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
    const holders = holdersOf(lock);
    for (const { taker } of holders) {
      // Taken after we had passed it: its delegates are no orphans.
      if (!isHolder(taker, lock)) continue;
      const isGenie =
        writtenStart === undefined ||
        processState(taker)?.startTime === writtenStart;
      if (isGenie || !this.#isStranger(taker)) return taker;
    }
    for (const { pid } of holders) {
      // Asked again: with the taker's orderly end all others lose the lock.
      if (isHolder(pid, lock)) killHolder(pid, this.#containerId);
    }
    return undefined;
  }

  #isStranger(pid: number): boolean {
    const { remaining } = this.#deadline;
    if (this.#stranger?.pid !== pid) this.#stranger = { pid, remaining };
    return this.#stranger.remaining - remaining >= strangerMs;
  }
}

/** A file that is locked, as the kernel names it. */
interface LockedFile {
  /** What the links in /proc/<pid>/fd say. */
  path: string;
  inode: string;
}

interface LockHolder {
  pid: number;
  /** The process that called flock; 0 when it is gone, or not of our pid namespace. */
  taker: number;
}

/** undefined where there is no /proc of ours. */
function lockedFile(fd: number): LockedFile | undefined {
  try {
    return {
      path: readlinkSync(`/proc/self/fd/${fd}`),
      // Of Linux 5.14. What stat says is another number on overlayfs.
      inode:
        /^ino:\s*(\d+)$/m.exec(readFile(`/proc/self/fdinfo/${fd}`))?.[1] ??
        status(fd).id.replace(/.*:/, ""),
    };
  } catch {
    return undefined;
  }
}

/** All processes but ourselves that hold the lock: who merely reads the file does not. */
function holdersOf(lock: LockedFile): LockHolder[] {
  return listIfAny("/proc").flatMap((entry) => {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    const taker = takerBy(pid, lock);
    return taker === undefined ? [] : [{ pid, taker }];
  });
}

function isHolder(pid: number, lock: LockedFile): boolean {
  return pid > 0 && takerBy(pid, lock) !== undefined;
}

/** Who took the lock that a process holds; undefined when it holds none. */
function takerBy(pid: number, { path, inode }: LockedFile): number | undefined {
  try {
    for (const fd of listIfAny(`/proc/${pid}/fd`)) {
      if (linkText(`/proc/${pid}/fd/${fd}`) !== path) continue;
      const info = readFile(`/proc/${pid}/fdinfo/${fd}`);
      const taker = flockIn(info, inode);
      if (taker !== undefined) return taker;
    }
  } catch {
    // EACCES: not ours to kill. ESRCH: it ended.
  }
  return undefined;
}

/** A descriptor may be closed while the others are looked at. */
function linkText(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/**
 * The process that called flock, of a line `lock: 1: FLOCK ADVISORY WRITE 4711 fe:00:1234 0 EOF`.
 * The device in it is not compared: btrfs and overlayfs report another one elsewhere.
 */
function flockIn(info: string, inode: string): number | undefined {
  const lines = info.matchAll(
    /^lock:\s+\d+:\s+FLOCK\s+\S+\s+\S+\s+(\d+)\s+[\da-f]+:[\da-f]+:(\d+)\s/gm,
  );
  for (const [, taker, ofInode] of lines) {
    if (ofInode === inode) return Number(taker);
  }
  return undefined;
}

/**
 * A delegate leads a session of its own and has our GENIE_CONTAINER: it is killed
 * with its process group. Whoever else holds the lock is killed alone.
 */
function killHolder(pid: number, containerId: string): void {
  const leader = processState(pid)?.group ?? 0;
  const isDelegates =
    leader > 1 &&
    processState(leader)?.session === leader &&
    isOfContainer(leader, containerId);
  try {
    process.kill(isDelegates ? -leader : pid, "SIGKILL");
  } catch {
    // ESRCH: it ended by itself.
  }
}

function isOfContainer(pid: number, containerId: string): boolean {
  try {
    return readFile(`/proc/${pid}/environ`)
      .split("\0")
      .includes(`GENIE_CONTAINER=${containerId}`);
  } catch {
    return false;
  }
}
