/**
 * Who holds a container's lock, as it is written down in it.
 */
import { readFile } from "../cni/files.ts";
import { write } from "../cni/libc.ts";
import { bytesOf } from "../cni/text.ts";

export interface Holder {
  pid: number;
  /** Tells a process from a later one with the same number; unknown on a full disk. */
  startTime?: string;
}

const holderLength = 40;

/** Writes us down in a lock that we hold and have just opened. */
export function writeHolder(fd: number): void {
  const { startTime = "" } = processState(process.pid) ?? {};
  // Always as long, so that nothing of a former holder is left behind it.
  const text = `${process.pid} ${startTime}`.padEnd(holderLength);
  try {
    write(fd, bytesOf(text));
  } catch {
    // A full disk must not stop a DEL: the kernel knows the number as well.
  }
}

/** Fields of /proc/<pid>/stat; the name before them may hold blanks and parentheses. */
export function processState(
  pid: number,
): { state: string; group: number; startTime: string } | undefined {
  try {
    const stat = readFile(`/proc/${pid}/stat`);
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
