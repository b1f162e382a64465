/**
 * All locks of a node, for GC and for people: whose nobody has, whose is held.
 */
import { listIfAny, statusIfAny } from "../cni/files.ts";
import { Open, close, open, tryLock } from "../cni/libc.ts";
import { holderOf, isAlive } from "./inheritors.ts";
import { type Lock, lockIfFree, lockPath } from "./lock.ts";

/**
 * The lock of a container that nobody works on, and the container's ID; nothing
 * is waited for. What a genie left that was killed before it wrote a record.
 */
export function abandonedLocks(
  dataDir: string,
): { containerId: string; lock: Lock }[] {
  return listIfAny(`${dataDir}/locks`).flatMap((containerId) => {
    const lock = lockIfFree(`${dataDir}/locks/${containerId}`);
    return lock ? { containerId, lock } : [];
  });
}

/** Whether a living genie has a container's lock now. */
export function isWorkedOn(dataDir: string, containerId: string): boolean {
  const path = lockPath(dataDir, containerId);
  if (!statusIfAny(path)) return false;
  const fd = open(path, Open.readWrite);
  try {
    if (tryLock(fd)) return false;
    return isAlive(holderOf(path, fd));
  } finally {
    close(fd);
  }
}
