/** Files that are replaced at once or not at all, never synced. */
import { rename } from "../linux/file-calls.ts";
import { removeFile, writeFile } from "../linux/files.ts";

/** Throws SystemError; then the file is as before. */
export function replaceOwnFile(path: string, text: string, mode = 0o600): void {
  const slash = path.lastIndexOf("/") + 1;
  const temporary = `${path.slice(0, slash)}.${path.slice(slash)}.new`;
  try {
    writeFile(temporary, text, mode);
    rename(temporary, path);
  } catch (error) {
    removeFile(temporary);
    throw error;
  }
}
