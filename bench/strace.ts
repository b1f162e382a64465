/**
 * Counts the system calls of a program and of all processes that it starts, in a run
 * of its own under strace, because tracing makes everything slower.
 */
import type { Command } from "./child.ts";

export interface Calls {
  systemCalls: number;
  /** The results of `read` and its variants: files, pipes, sockets; without mapped files. */
  bytesRead: number;
  /** How many were executed, the first included. */
  programs: number;
}

/** A call that began: `17 read(3, …) = 12`, or `17 read(3, <unfinished ...>`. */
const begun = /^\d+ +(\w+)\(/;
/** A call that another process interrupted: `17 <... read resumed>…) = 12`. */
const resumed = /^\d+ +<\.\.\. (\w+) resumed>/;
const returned = / = (\d+)(?: |$)/;

const reads: ReadonlySet<string> = new Set([
  "read",
  "pread64",
  "readv",
  "preadv",
  "preadv2",
  "recvfrom",
  "recvmsg",
]);

/** Parses a file of `strace -f -o`. */
export function parseTrace(text: string): Calls {
  let systemCalls = 0;
  let bytesRead = 0;
  let programs = 0;
  for (const line of text.split("\n")) {
    const start = begun.exec(line);
    if (start) systemCalls++;
    const name = (start ?? resumed.exec(line))?.[1];
    // The result is at the end: the text that was read may contain one, too.
    const result = returned.exec(afterLastParenthesis(line))?.[1];
    if (name === undefined || result === undefined) continue;
    if (reads.has(name)) bytesRead += Number(result);
    if (name === "execve") programs++;
  }
  return { systemCalls, bytesRead, programs };
}

function afterLastParenthesis(line: string): string {
  return line.slice(line.lastIndexOf(")") + 1);
}

/** The same command under strace, which writes to `file`. */
export function traced(
  strace: string,
  command: Command,
  file: string,
): Command {
  return {
    ...command,
    argv: [strace, "-f", "-qq", "-s", "0", "-o", file, ...command.argv],
  };
}

/** The path of a strace that works here, or why there is none. */
export function findStrace(): { path: string } | { missing: string } {
  const path = Bun.which("strace");
  if (path === null) return { missing: "strace is not installed" };
  const { success, stderr } = Bun.spawnSync([
    path,
    "-f",
    "-o",
    "/dev/null",
    "true",
  ]);
  return success
    ? { path }
    : { missing: `strace cannot run: ${stderr.toString().trim()}` };
}
