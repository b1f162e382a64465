/**
 * The process's standard streams for a plugin. Reading has limits of time and size;
 * writing to stderr has a time limit: a runtime that neither closes nor reads its
 * end must not block us (state.md "Time").
 */
import { Deadline, monotonicMs } from "./deadline.ts";
import { errnoOf } from "./errno.ts";
import { readToEnd } from "./files.ts";
import { bytesOf } from "./text.ts";
import { isCloseOnExec, read, write } from "./file-calls.ts";
import { readable, ready, writable } from "./libc.ts";

/** Limits of the request: milliseconds, bytes. */
export const stdinLimits = { ms: 10_000, bytes: 16 << 20 } as const;

/** The whole stdin, valid until a file is read. Throws Error at a limit, and the system's error. */
export function readStdin(
  limits: { ms: number; bytes: number } = stdinLimits,
): Uint8Array {
  const end = monotonicMs() + limits.ms;
  let size = 0;
  return readToEnd((buffer) => {
    while (ready(0, readable, end - monotonicMs())) {
      try {
        const count = read(0, buffer);
        size += count;
        if (size <= limits.bytes) return count;
      } catch (error) {
        // Nothing to read after all.
        if (errnoOf(error) === "EAGAIN") continue;
        throw error;
      }
      throw new Error(`more than ${limits.bytes >> 20} MiB`);
    }
    throw new Error(`no end of input within ${limits.ms / 1000} s`);
  });
}

/**
 * Whether stdout was closed when the process started. Bun then opens /dev/null with
 * close-on-exec, which an inherited descriptor never has.
 */
export function isStdoutClosed(): boolean {
  return isCloseOnExec(1);
}

/**
 * Writes the whole text, also to a slow pipe, as long as it has a reader. Throws
 * Error if stdout is closed, SystemError if the reader is gone.
 * `Bun.write` would start two threads.
 */
export function writeStdout(text: string): void {
  if (text !== "" && isStdoutClosed()) throw new Error("it is closed");
  let bytes = bytesOf(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(write(1, bytes));
    } catch (error) {
      // The pipe is non-blocking and full.
      if (errnoOf(error) !== "EAGAIN") throw error;
      ready(1, writable, Infinity);
    }
  }
}

const stderrMs = 1000;
/** A writable pipe accepts this many bytes at once (PIPE_BUF). */
const stderrChunk = 4096;

/** Milliseconds that the next text may wait; 0 after a text could not be written in that time. */
let patienceMs = stderrMs;

/** Writes what stderr accepts within a second; never throws. A stuck reader delays one text, not each. */
export function writeStderr(text: string): void {
  const deadline = new Deadline(patienceMs);
  let bytes = bytesOf(text);
  try {
    while (bytes.length > 0) {
      if (!ready(2, writable, deadline.remaining)) {
        patienceMs = 0;
        return;
      }
      bytes = bytes.subarray(write(2, bytes.subarray(0, stderrChunk)));
    }
    patienceMs = stderrMs;
  } catch {
    // Nobody reads it: the response on stdout matters.
  }
}
