/** Reads files and directories of the node, which other programs write. */
import { errnoOf, messageOf } from "../../linux/errno.ts";
import { listIfAny, readRegularFile } from "../../linux/files.ts";
import { quote } from "../../linux/text.ts";
import { attempt } from "./attempt.ts";

/** Larger than any file that a command reads. */
const maxBytes = 16 << 20;

/** The text of a regular file; undefined if it is missing. Throws Error that names the file. */
export function readTextIfAny(path: string): string | undefined {
  try {
    return readRegularFile(path, maxBytes);
  } catch (cause) {
    const errno = errnoOf(cause);
    if (errno === "ENOENT" || errno === "ENOTDIR") return undefined;
    throw new Error(`failed to read ${quote(path)}: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** The names in a directory; none if it cannot be read. */
export function namesIn(directory: string): string[] {
  return attempt(() => listIfAny(directory)) ?? [];
}
