/**
 * Files as genie uses them: whole texts, whole folders, one system call where
 * one is enough. Failures are `SystemError`s with the errno's name in `code`.
 */
import { errnoOf } from "./error.ts";
import {
  Open,
  type Status,
  close,
  list,
  mkdir,
  open,
  read,
  status,
  unlink,
  write,
} from "./libc.ts";

/** One for all: almost every file is smaller, and a fresh one each time would be work for the collector. */
const scratch = new Uint8Array(64 << 10);

/** The text of a file; what is not UTF-8 becomes U+FFFD. Never waits: of a named pipe it reads nothing. */
export function readFile(path: string): string {
  const fd = open(path, Open.readOnly | Open.nonBlocking);
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
  return earlier.length === 0 ? last : Buffer.concat([...earlier, last]);
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** What is not UTF-8 becomes U+FFFD; a byte order mark stays. */
export function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes);
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

/** As {@link readFile}; undefined when there is no such file. */
export function readFileIfAny(path: string): string | undefined {
  return ifAny(() => readFile(path), ["ENOENT"]);
}

/** What a path leads to; undefined when that is nothing. */
export function statusIfAny(path: string): Status | undefined {
  return ifAny(() => status(path));
}

/** The names in a folder; none when there is no such folder. */
export function listIfAny(path: string): string[] {
  return ifAny(() => list(path)) ?? [];
}

/** Afterwards there is no such file. */
export function removeFile(path: string): void {
  ifAny(() => unlink(path));
}

/** Makes a folder and those above it; nothing when it is there. */
export function makeFolder(path: string, mode: number): void {
  try {
    mkdir(path, mode);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "EEXIST") return;
    const parent = path.slice(0, path.lastIndexOf("/"));
    if (errno !== "ENOENT" || parent === "") throw error;
    // Those above are the system's folders, not ours.
    makeFolder(parent, 0o755);
    // Another genie may make the same ones at the same time.
    makeFolder(path, mode);
  }
}

export function writeAll(fd: number, text: string): void {
  let bytes: Uint8Array = Buffer.from(text);
  while (bytes.byteLength > 0) bytes = bytes.subarray(write(fd, bytes));
}

/** undefined for what is not there. */
function ifAny<T>(
  call: () => T,
  absent: readonly string[] = ["ENOENT", "ENOTDIR"],
): T | undefined {
  try {
    return call();
  } catch (error) {
    if (absent.includes(errnoOf(error) ?? "")) return undefined;
    throw error;
  }
}
