/**
 * One container's operations never run over each other (state.md "Processes and
 * locks"). The lock is a flock on `<dataDir>/locks/<containerID>`; delegates
 * inherit its descriptor, so it outlives a genie that was killed for as long as
 * an orphaned delegate of it still runs. Such an orphan is killed here.
 */
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeSync,
} from "node:fs";
import type { Deadline } from "../cni/deadline.ts";
import { Code, CniError, errnoOf, messageOf } from "../cni/error.ts";
import { tryLock, unlock } from "../cni/libc.ts";
import { removeFile } from "./files.ts";

export interface Lock {
  /** What delegates inherit. */
  readonly fd: number;
  /**
   * Removes the file and gives the lock up for every inheritor: a daemon that a
   * delegate left behind must not keep it.
   */
  release(): void;
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
  const path = `${dataDir}/locks/${lockName(containerId)}`;
  for (;;) {
    const fd = open(path);
    if (tryLock(fd)) {
      if (isStill(path, fd)) return held(path, fd);
      // Removed by the holder before us; whoever comes next makes a new file.
      closeSync(fd);
      continue;
    }
    const holder = readHolder(path);
    if (holder && !isAlive(holder)) {
      // The holder may just have changed: a new one writes itself down right
      // after it got the lock. What still stands there after a moment is true.
      await sleep(graceMs);
      if (sameHolder(readHolder(path), holder)) killHolders(fd);
    }
    closeSync(fd);
    if (deadline.expired) {
      throw new CniError(
        Code.tryAgainLater,
        `container ${containerId} is locked by another operation${holder ? ` (process ${holder.pid})` : ""}`,
      );
    }
    await sleep(Math.min(pollMs, deadline.remaining));
  }
}

function lockName(containerId: string): string {
  return containerId.length > 200
    ? new Bun.CryptoHasher("sha256").update(containerId).digest("hex")
    : containerId;
}

const holderLength = 40;

function held(path: string, fd: number): Lock {
  try {
    const { startTime = "" } = processState(process.pid) ?? {};
    // Always as long, so that nothing of a former holder is left behind it.
    writeSync(fd, `${process.pid} ${startTime}`.padEnd(holderLength), 0);
  } catch {
    // A full disk must not stop a DEL; orphans are then waited for and not killed.
  }
  return {
    fd,
    release() {
      removeFile(path);
      unlock(fd);
      closeSync(fd);
    },
  };
}

function open(path: string): number {
  const flags = constants.O_RDWR | constants.O_CREAT;
  try {
    try {
      return openSync(path, flags, 0o600);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
      mkdirSync(path.slice(0, path.lastIndexOf("/")), {
        recursive: true,
        mode: 0o700,
      });
      return openSync(path, flags, 0o600);
    }
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
  const named = statSync(path, { throwIfNoEntry: false, bigint: true });
  const opened = fstatSync(fd, { bigint: true });
  return named?.ino === opened.ino && named.dev === opened.dev;
}

interface Holder {
  pid: number;
  startTime: string;
}

/** undefined: nobody has written itself down (yet). */
function readHolder(path: string): Holder | undefined {
  try {
    const [pid, startTime] = readFileSync(path, "utf8").trim().split(" ");
    return pid && startTime ? { pid: Number(pid), startTime } : undefined;
  } catch {
    return undefined;
  }
}

function sameHolder(a: Holder | undefined, b: Holder): boolean {
  return a?.pid === b.pid && a.startTime === b.startTime;
}

/** The start time tells a process from a later one with the same number. */
function isAlive(holder: Holder): boolean {
  const state = processState(holder.pid);
  return (
    state !== undefined &&
    state.startTime === holder.startTime &&
    !/[ZX]/.test(state.state)
  );
}

/** Fields of /proc/<pid>/stat; the name before them may hold blanks and parentheses. */
function processState(
  pid: number,
): { state: string; group: number; startTime: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return {
      state: fields[0] ?? "",
      group: Number(fields[2]),
      startTime: fields[19] ?? "",
    };
  } catch {
    return undefined;
  }
}

/** Kills the process groups of all who have the lock's file open, but for other genies that wait. */
function killHolders(fd: number): void {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    if (hasOpen(pid, dev, ino) && !isWaiting(pid)) killGroupOf(pid);
  }
}

function hasOpen(pid: number, dev: bigint, ino: bigint): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((entry) => {
      const stat = statSync(`/proc/${pid}/fd/${entry}`, {
        throwIfNoEntry: false,
        bigint: true,
      });
      return stat?.ino === ino && stat.dev === dev;
    });
  } catch {
    return false;
  }
}

/** A genie; delegates and what they start have GENIE_CONTAINER in their environment. */
function isWaiting(pid: number): boolean {
  try {
    const environ = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
    if (environ.some((variable) => variable.startsWith("GENIE_CONTAINER=")))
      return false;
    return (
      readFileSync(`/proc/${pid}/comm`, "utf8") ===
      readFileSync("/proc/self/comm", "utf8")
    );
  } catch {
    return true;
  }
}

function killGroupOf(pid: number): void {
  const group = processState(pid)?.group ?? 0;
  const ours = processState(process.pid)?.group;
  try {
    // A group below 2 or our own is not one that a delegate leads.
    process.kill(group > 1 && group !== ours ? -group : pid, "SIGKILL");
  } catch {
    // ESRCH: it ended by itself.
  }
}
