/**
 * Files as genie uses them: whole texts, whole folders, one system call where
 * one is enough. Failures are `SystemError`s with the errno's name in `code`.
 */
import { errnoOf } from "./error.ts";
import { Open, close, mkdir, open, openIfAny, read, write } from "./libc.ts";
import { bytesOf, textOf } from "./text.ts";

export { listIfAny, removeFile, statusIfAny } from "./libc.ts";

/** One for all: almost every file is smaller, and a fresh one each time would be work for the collector. */
const scratch = new Uint8Array(64 << 10);

/** Never waits: of a named pipe nothing is read. */
const reading = Open.readOnly | Open.nonBlocking;

/** The text of a file; what is not UTF-8 becomes U+FFFD. */
export function readFile(path: string): string {
  return textOfOpen(open(path, reading));
}

/** As {@link readFile}; undefined when there is no such file. */
export function readFileIfAny(path: string): string | undefined {
  const fd = openIfAny(path, reading);
  return fd === undefined ? undefined : textOfOpen(fd);
}

function textOfOpen(fd: number): string {
  try {
    return textOf(readToEnd((buffer) => read(fd, buffer)));
  } finally {
    close(fd);
  }
}

/** Everything that `next` reads until it reads nothing; valid until the next call. */
export function readToEnd(next: (buffer: Uint8Array) => number): Uint8Array {
  let size = 0;
  const earlier: Uint8Array[] = [];
  for (;;) {
    if (size === scratch.length) {
      earlier.push(scratch.slice());
      size = 0;
    }
    const count = next(scratch.subarray(size));
    if (count === 0) break;
    size += count;
  }
  const last = scratch.subarray(0, size);
  return earlier.length === 0 ? last : concat([...earlier, last]);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Makes or replaces a file. */
export function writeFile(path: string, text: string, mode: number): void {
  const fd = open(path, Open.writeOnly | Open.create | Open.truncate, mode);
  try {
    writeAll(fd, text);
  } finally {
    close(fd);
  }
}

/** Makes a folder and those above it; nothing when it is there. */
export function makeFolder(path: string, mode: number): void {
  try {
    mkdir(path, mode);
  } catch (error) {
    const parent = path.slice(0, path.lastIndexOf("/"));
    if (errnoOf(error) !== "ENOENT" || parent === "") throw error;
    // Those above are the system's folders, not ours.
    makeFolder(parent, 0o755);
    // Another genie may make the same ones at the same time.
    makeFolder(path, mode);
  }
}

export function writeAll(fd: number, text: string): void {
  let bytes = bytesOf(text);
  while (bytes.byteLength > 0) bytes = bytes.subarray(write(fd, bytes));
}
