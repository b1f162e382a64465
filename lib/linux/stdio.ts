/**
 * The process's standard streams as a plugin uses them. Reading ends at a limit
 * of time and size, writing to stderr never waits for long: a runtime that
 * neither closes nor reads its end must not keep us (state.md "Time").
 */
import { Deadline, monotonicMs } from "./deadline.ts";
import { errnoOf } from "./errno.ts";
import { readToEnd } from "./files.ts";
import { bytesOf } from "./text.ts";
import { isCloseOnExec, read, write } from "./file-calls.ts";
import { readable, ready, writable } from "./libc.ts";

/** Limits of the request: milliseconds, bytes. */
export const stdinLimits = { ms: 10_000, bytes: 16 << 20 } as const;

/** Everything up to the end of stdin, valid until a file is read. Throws Error at a limit, and what the system throws. */
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
        // There is nothing to read after all.
        if (errnoOf(error) === "EAGAIN") continue;
        throw error;
      }
      throw new Error(`more than ${limits.bytes >> 20} MiB`);
    }
    throw new Error(`no end of input within ${limits.ms / 1000} s`);
  });
}

/**
 * Whether stdout was closed when the process started. Bun opens /dev/null in its place,
 * close-on-exec, which an inherited descriptor never is.
 */
export function isStdoutClosed(): boolean {
  return isCloseOnExec(1);
}

/**
 * Writes the whole text, also to a slow pipe: waits as long as there may be a reader.
 * Rejects with Error where stdout is closed, with SystemError where its reader is gone.
 * Not with `Bun.write`, which starts two threads.
 */
export async function writeStdout(text: string): Promise<void> {
  if (text !== "" && isStdoutClosed()) throw new Error("it is closed");
  let bytes = bytesOf(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(write(1, bytes));
    } catch (error) {
      // A pipe that somebody made non-blocking is full.
      if (errnoOf(error) !== "EAGAIN") throw error;
      ready(1, writable, Infinity);
    }
  }
}

const stderrMs = 1000;
/** A pipe that takes anything takes so much at once (PIPE_BUF). */
const stderrChunk = 4096;

/** How long the next text may wait; not at all once a text has waited in vain. */
let patienceMs = stderrMs;

/** As much as stderr takes within a second; never throws. A reader that sleeps costs one second, not one for each text. */
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
    // Nobody reads it: the answer on stdout is what counts.
  }
}
