/**
 * Who else has a container's lock: the genie that took it, and the processes that
 * inherited it from one that was killed. The only module that looks at other
 * processes and kills them; loaded when a lock is held.
 */
import { listIfAny, readFile, statusIfAny } from "../cni/files.ts";
import { status } from "../cni/libc.ts";
import { type Holder, processState } from "./holder.ts";

/** Who took the lock: as written in it, else as the kernel has it. */
export function holderOf(path: string, fd: number): Holder {
  return writtenHolder(path) ?? kernelsHolder(fd);
}

function writtenHolder(path: string): Holder | undefined {
  try {
    const [pid, startTime] = readFile(path).trim().split(" ");
    return pid && startTime ? { pid: Number(pid), startTime } : undefined;
  } catch {
    return undefined;
  }
}

/** Nobody: no process has this number, so it is not alive. */
const gone: Holder = { pid: 0 };

/** Of /proc/locks, which names the process that called flock and no inheritor: `1: FLOCK ADVISORY WRITE 4711 fe:00:1234 0 EOF`. */
function kernelsHolder(fd: number): Holder {
  const file = kernelsName(status(fd).id);
  for (const line of readFile("/proc/locks").split("\n")) {
    const [, kind, , , pid, where] = line.trim().split(/\s+/);
    if (kind === "FLOCK" && where === file) return { pid: Number(pid) };
  }
  // In a pid namespace the kernel does not list the lock of a process that ended.
  return gone;
}

/** Major and minor in hexadecimal, the inode in decimal. */
function kernelsName(id: string): string {
  const [major, minor, inode] = id.split(":");
  const hex = (text = "0") => Number(text).toString(16).padStart(2, "0");
  return `${hex(major)}:${hex(minor)}:${inode}`;
}

export function sameHolder(a: Holder, b: Holder): boolean {
  return a.pid === b.pid && a.startTime === b.startTime;
}

export function isAlive({ pid, startTime }: Holder): boolean {
  const now = processState(pid);
  if (now === undefined || /[ZX]/.test(now.state)) return false;
  return startTime === undefined || now.startTime === startTime;
}

/** Kills the process groups of all who have the lock's file open, but for other genies that wait. */
export function killInheritors(fd: number): void {
  const { id } = status(fd);
  for (const entry of listIfAny("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    if (hasOpen(pid, id) && !isWaiting(pid)) killGroupOf(pid);
  }
}

function hasOpen(pid: number, id: string): boolean {
  try {
    return listIfAny(`/proc/${pid}/fd`).some(
      (entry) => statusIfAny(`/proc/${pid}/fd/${entry}`)?.id === id,
    );
  } catch {
    return false;
  }
}

/** A genie; delegates and what they start have GENIE_CONTAINER in their environment. */
function isWaiting(pid: number): boolean {
  try {
    const environ = readFile(`/proc/${pid}/environ`).split("\0");
    if (environ.some((variable) => variable.startsWith("GENIE_CONTAINER=")))
      return false;
    return readFile(`/proc/${pid}/comm`) === readFile("/proc/self/comm");
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
