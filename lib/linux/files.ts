/**
 * Reads and writes whole files and directories, with one system call if one is
 * enough. Failures are `SystemError`s with the errno's name in `code`.
 */
import { SystemError, errnoOf } from "./errno.ts";
import { bytesOf, textOf } from "./text.ts";
import {
  Open,
  close,
  linkStatusIfAny,
  mkdir,
  open,
  read,
  removeFile,
  rename,
  setMode,
  statusIfAny,
  write,
} from "./file-calls.ts";

export {
  linkStatusIfAny,
  listIfAny,
  removeFile,
  statusIfAny,
} from "./file-calls.ts";

/** Whether there is anything at that path, also a dangling link; false if that cannot be known. */
export function linkExists(path: string): boolean {
  try {
    return linkStatusIfAny(path) !== undefined;
  } catch {
    return false;
  }
}

/** One buffer for all files: most files fit, and a new buffer each time would be garbage. */
const scratch = new Uint8Array(64 << 10);

/** O_NONBLOCK: opening a FIFO must not block; nothing is read from it. */
export const reading = Open.readOnly | Open.nonBlocking;

/** The text of a file; invalid UTF-8 becomes U+FFFD. */
export function readFile(path: string): string {
  return textOfOpen(open(path, reading));
}

/**
 * Not a regular file (a symbolic link, a device, a FIFO, a directory), larger than its
 * limit, or damaged on the disk.
 */
export class UnreadableFile extends Error {}

/** Closes the file. Throws `UnreadableFile` above `maxBytes`. */
export function textOfOpen(fd: number, maxBytes = Infinity): string {
  let size = 0;
  try {
    const bytes = readToEnd((buffer) => {
      const count = read(fd, buffer);
      size += count;
      if (size > maxBytes)
        throw new UnreadableFile(`larger than ${maxBytes} bytes`);
      return count;
    });
    return textOf(bytes);
  } finally {
    close(fd);
  }
}

/**
 * The text of a file in a directory that other users write. Opens regular files
 * only (through links): opening or reading a device could block, never end or start
 * something. Throws for another kind, and above `maxBytes`.
 */
export function readRegularFile(path: string, maxBytes: number): string {
  const found = statusIfAny(path);
  if (!found) throw new SystemError("ENOENT");
  if (found.kind === "directory") throw new SystemError("EISDIR");
  if (found.kind !== "file") throw new UnreadableFile("not a regular file");
  return textOfOpen(open(path, reading), maxBytes);
}

/** Everything that `next` reads until its end; valid until the next call. */
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

export function concat(parts: readonly Uint8Array[]): Uint8Array {
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

/** Makes or replaces a file, by {@link createFile}. */
export function writeFile(path: string, text: string, mode: number): void {
  const fd = createFile(path, mode);
  try {
    writeAll(fd, text);
  } finally {
    close(fd);
  }
}

/** Replaces a file at once or not at all; never synced. Throws SystemError: then the file is as before. */
export function replaceFile(path: string, text: string, mode = 0o600): void {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const temporary = `${directoryOf(path)}/.${name}.new`;
  try {
    writeFile(temporary, text, mode);
    rename(temporary, path);
  } catch (error) {
    removeFile(temporary);
    throw error;
  }
}

/**
 * Opens a new file for writing; the mode whatever the umask. An existing name is removed,
 * never written to: it may be a link.
 */
export function createFile(path: string, mode: number): number {
  const fd = openNew(path, mode);
  try {
    setMode(fd, mode);
  } catch (error) {
    close(fd);
    throw error;
  }
  return fd;
}

function openNew(path: string, mode: number): number {
  const flags = Open.writeOnly | Open.create | Open.exclusive | Open.noFollow;
  try {
    return open(path, flags, mode);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
    removeFile(path);
    return open(path, flags, mode);
  }
}

/** "" for the root and for a name without directory. */
export function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

/** Makes a directory and its parents; succeeds if it exists. */
export function makeDirectory(path: string, mode: number): void {
  try {
    mkdir(path, mode);
  } catch (error) {
    const parent = directoryOf(path);
    if (errnoOf(error) !== "ENOENT" || parent === "") throw error;
    // The parents belong to the system.
    makeDirectory(parent, 0o755);
    // Not again with its parents: `/proc` says ENOENT whatever is there.
    mkdir(path, mode);
  }
}

export function writeAll(fd: number, text: string): void {
  let bytes = bytesOf(text);
  while (bytes.byteLength > 0) bytes = bytes.subarray(write(fd, bytes));
}
