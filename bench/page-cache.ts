/**
 * What a program's pages look like in memory depends on how its file got there: one
 * that was just written lies in large pieces, which are mapped as a whole, and the
 * same program needs several MiB more. So all that is measured is read from the disk,
 * as on a node that was started once since the installation.
 */
import { closeSync, fsyncSync, openSync } from "node:fs";
import { symbols } from "./libc.ts";

const POSIX_FADV_DONTNEED = 4;

/** Forgets a file's pages; does nothing with those in use. */
export function evict(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
    symbols.posix_fadvise(fd, 0n, 0n, POSIX_FADV_DONTNEED);
  } finally {
    closeSync(fd);
  }
}
