/**
 * The lock of all attachment records: what keeps ADD out while a network's GC has
 * its list (cni-plugin.md P-GC-5). GC is alone with the records from the making of
 * the list to the end of the plugins, ADD shares the lock only while it writes its
 * record. So a record is either in the list, or its delegates run after GC's plugins.
 */
import type { Deadline } from "../linux/deadline.ts";
import { makeOwnDirectory, requireOwnDirectory } from "../linux/files.ts";
import { noContainer } from "../cni/invoke.ts";
import {
  Open,
  close,
  open,
  openIfAny,
  tryLock,
  tryShare,
  unlock,
} from "../linux/libc.ts";
import { type Lock, lockedError, recoveryOf, take } from "./lock.ts";
import type { LockRecovery } from "./lock-recovery.ts";

/**
 * Waits within `deadline`; `work` is told what its delegates inherit, so that an
 * orphan of a GC that was killed keeps ADD out as well, until it is ended. Throws 11
 * when the time is over, 5 for the disk.
 */
export async function withRecords<T>(
  mode: "share" | "alone",
  dataDir: string,
  deadline: Deadline,
  sleep: (ms: number) => Promise<void>,
  work: (lock: Pick<Lock, "fd">) => T | Promise<T>,
): Promise<T> {
  const directory = recordsDirectory(dataDir);
  const fd = openDirectory(directory);
  const context = mode === "share" ? tryShare : tryLock;
  let recovery: LockRecovery | undefined;
  try {
    while (!take(context, fd, directory)) {
      recovery ??= await recoveryOf(noContainer, deadline);
      const owner = recovery.ownerOf(fd);
      if (deadline.expired)
        throw lockedError("the attachment records are", owner);
      await sleep(deadline.atMost(pollMs).remaining);
    }
    return await work({ fd });
  } finally {
    // For everybody who inherited it.
    unlock(fd);
    close(fd);
  }
}

const pollMs = 10;

/** As {@link withRecords} that shares, where nobody has them alone: undefined then, and nothing was done. */
export function tryWithSharedRecords<T>(
  dataDir: string,
  work: () => T,
): T | undefined {
  const directory = recordsDirectory(dataDir);
  const fd = openDirectory(directory);
  try {
    return take(tryShare, fd, directory) ? work() : undefined;
  } finally {
    close(fd);
  }
}

function recordsDirectory(dataDir: string): string {
  return `${dataDir}/attachments`;
}

/** The directory itself is locked: there is no file that could be left. */
function openDirectory(path: string): number {
  const flags = Open.readOnly | Open.noFollow;
  requireOwnDirectory(path);
  const fd = openIfAny(path, flags);
  if (fd !== undefined) return fd;
  makeOwnDirectory(path);
  return open(path, flags);
}
