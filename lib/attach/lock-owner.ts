/**
 * Who took a container's lock, as it is written down in it: a process by its
 * number and start time, because numbers are used again.
 */
import { readFile } from "../linux/files.ts";
import { Open, close, open, readAt, write } from "../linux/libc.ts";
import { bytesOf, textOf } from "../linux/text.ts";

export interface LockOwner {
  pid: number;
  startTime: string;
}

/** Always as long, so that nothing of a former owner is left behind a new one. */
const ownerLength = 40;

/** Writes us down in a lock that we have just taken. */
export function writeOwner(path: string, fd: number): void {
  const { startTime = "" } = processState(process.pid) ?? {};
  try {
    write(fd, bytesOf(`${process.pid} ${startTime}`.padEnd(ownerLength)));
  } catch {
    // A full disk must not stop a DEL. Of an empty file the kernel is asked who took it.
    empty(path);
  }
}

function empty(path: string): void {
  try {
    close(open(path, Open.writeOnly | Open.truncate));
  } catch {
    // Nor must one that is read-only: there nothing was written before us.
  }
}

/** undefined where nobody is written down, also of a directory. */
export function writtenOwner(fd: number): LockOwner | undefined {
  const buffer = new Uint8Array(ownerLength);
  try {
    const text = textOf(buffer.subarray(0, readAt(fd, buffer, 0)));
    const [, pid, startTime] = /^(\d+) (\d+) *$/.exec(text) ?? [];
    return pid && startTime ? { pid: Number(pid), startTime } : undefined;
  } catch {
    return undefined;
  }
}

export function isAlive({ pid, startTime }: LockOwner): boolean {
  const now = processState(pid);
  return now?.startTime === startTime && !/[ZX]/.test(now.state);
}

export interface ProcessState {
  state: string;
  /** The process group and the session, each named after its leader. */
  group: number;
  session: number;
  /** Clock ticks since the machine was started. */
  startTime: string;
}

/** Fields of /proc/<pid>/stat; the name before them may hold blanks and parentheses. */
export function processState(pid: number): ProcessState | undefined {
  try {
    const stat = readFile(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return {
      state: fields[0] ?? "",
      group: Number(fields[2]),
      session: Number(fields[3]),
      startTime: fields[19] ?? "",
    };
  } catch {
    return undefined;
  }
}
