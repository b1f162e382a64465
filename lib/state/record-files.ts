/**
 * Files of a directory of records: replaced at once, made durable, removed, also where a
 * directory has taken their name. `records` knows what they are.
 */
import { CniError } from "../cni/error.ts";
import { UnsafeDirectory, errnoOf, messageOf } from "../linux/errno.ts";
import { Open, close, fsync, open, rename } from "../linux/file-calls.ts";
import { removeFile } from "../linux/files.ts";
import { RecordError } from "./record.ts";

/** The suffix of a damaged file. */
export const corrupt = ".corrupt";

/** A file with its final name that may not survive a power loss yet. */
export class WrittenFile {
  readonly #fd: number;
  readonly #directory: string;

  constructor(fd: number, directory: string) {
    this.#fd = fd;
    this.#directory = directory;
  }

  /** Waits for the disk. Throws the errno of the system. */
  sync(): void {
    const directory = open(this.#directory, Open.readOnly | Open.noFollow);
    try {
      fsync(this.#fd);
      fsync(directory);
    } finally {
      close(directory);
      close(this.#fd);
    }
  }

  close(): void {
    close(this.#fd);
  }
}

/** Removes a file; a directory of that name is renamed: it would fail every DEL. */
export function remove(path: string): void {
  try {
    removeFile(path);
  } catch (error) {
    if (errnoOf(error) !== "EISDIR") throw error;
    setAside(path);
  }
}

/** Renames a file; a directory of the new name is renamed first. */
export function replace(path: string, newPath: string): void {
  try {
    rename(path, newPath);
  } catch (error) {
    if (errnoOf(error) !== "EISDIR") throw error;
    setAside(newPath);
    rename(path, newPath);
  }
}

export function setAside(path: string): void {
  try {
    rename(path, path + corrupt);
  } catch (error) {
    // Another genie renamed it meanwhile.
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

export function onDisk<T>(action: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw recordError(`failed to ${action} attachment record`, cause);
  }
}

/** A directory that others can write has an error of its own, whatever the action. */
export function recordError(problem: string, cause: unknown): CniError {
  return cause instanceof UnsafeDirectory
    ? CniError.from(cause)
    : new RecordError(`${problem}: ${messageOf(cause)}`, cause);
}
