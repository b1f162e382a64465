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
    const fields = stat.slice(stat.lastIndexOf(")") + 2);
    return {
      state: field(fields, 0),
      group: Number(field(fields, 2)),
      session: Number(field(fields, 3)),
      startTime: field(fields, 19),
    };
  } catch {
    return undefined;
  }
}

/** Without an array of all 50 fields, which takes a block of the heap. */
function field(fields: string, index: number): string {
  let at = 0;
  for (let i = 0; i < index; i++) at = fields.indexOf(" ", at) + 1;
  return fields.slice(at, fields.indexOf(" ", at));
}
