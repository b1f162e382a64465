/** Reads files and directories of the node, which other programs write. */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  readdirSync,
} from "node:fs";
import { errnoOf } from "../../linux/errno.ts";
import { attempt } from "./attempt.ts";

/** Larger than any file that a command reads. */
const maxBytes = 16 << 20;

/**
 * The text of a file; undefined if it is missing. Throws the system's errno, and
 * Error for anything but a regular file: a FIFO or device could block.
 */
export function readTextIfAny(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return undefined;
    throw error;
  }
  try {
    const status = fstatSync(fd);
    if (!status.isFile()) throw new Error(`${path} is not a regular file`);
    if (status.size > maxBytes)
      throw new Error(`${path} is larger than ${maxBytes >> 20} MiB`);
    return readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}

/** The names in a directory; none if it cannot be read. */
export function namesIn(directory: string): string[] {
  return attempt(() => readdirSync(directory)) ?? [];
}
