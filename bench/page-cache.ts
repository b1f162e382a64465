/**
 * Drops files from the page cache. A file that was just written lies in large pages,
 * which are mapped as a whole, so its program needs several MiB more. The bench reads
 * every program from the disk, as a node does that was started once since the
 * installation.
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
