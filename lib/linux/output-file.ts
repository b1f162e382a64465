/**
 * The anonymous file that takes what a process writes to its stdout or stderr
 * (state.md "Processes and locks"). In memory, or without a name on the disk
 * where the kernel or a policy allows no such file. Append-only: a shell plugin's
 * `> /dev/stderr` empties it, and what it writes afterwards must not begin behind
 * a gap of NUL bytes.
 */
import { errnoOf } from "./errno.ts";
import { makeDirectory } from "./files.ts";
import {
  Open,
  appendOnly,
  memoryFile,
  open,
  readAt,
  removeFile,
  status,
} from "./libc.ts";
import { textOf } from "./text.ts";

/** Its descriptor. `directory` is for a file on the disk. Throws SystemError. */
export function openOutput(directory: string): number {
  const fd = memoryFile("output");
  if (fd === undefined) return unnamedFile(directory);
  appendOnly(fd);
  return fd;
}

/** Bytes. */
export function outputSize(fd: number): number {
  return status(fd).size;
}

/** The first `limit` bytes; what is not UTF-8 becomes U+FFFD. */
export function outputText(fd: number, limit: number): string {
  const size = outputSize(fd);
  const buffer = new Uint8Array(size < limit ? size : limit);
  let length = 0;
  while (length < buffer.length) {
    const count = readAt(fd, buffer.subarray(length), length);
    if (count === 0) break;
    length += count;
  }
  return textOf(buffer.subarray(0, length));
}

/** A name that nobody knows, and that is gone when this returns. */
function unnamedFile(directory: string): number {
  const path = `${directory}/.output-${crypto.randomUUID()}`;
  const flags =
    Open.readWrite | Open.append | Open.create | Open.exclusive | Open.noFollow;
  let fd: number;
  try {
    fd = open(path, flags, 0o600);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    makeDirectory(directory, 0o700);
    fd = open(path, flags, 0o600);
  }
  removeFile(path);
  return fd;
}
