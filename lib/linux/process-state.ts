/** The state of a process, by its number. */
import { readFile } from "./files.ts";

interface ProcessState {
  state: string;
  /** The process group and the session, each named after its leader. */
  group: number;
  session: number;
  /** Clock ticks since boot: distinguishes processes with a reused number. */
  startTime: string;
}

/**
 * Fields of /proc/<pid>/stat; the name before them may contain blanks and
 * parentheses. undefined if there is no such process.
 */
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
