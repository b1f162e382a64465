/**
 * One installer at a time on a node. A DaemonSet's agent, an operator's `install` or
 * `uninstall` would overwrite each other's changes. The lock is a flock on the directory
 * of configurations, so it needs no file there and works through a mount.
 */
import { CniError, Code } from "../../cni/error.ts";
import { messageOf } from "../../linux/errno.ts";
import { Open, close, openIfAny } from "../../linux/file-calls.ts";
import { tryLock, tryShare } from "../../linux/flock.ts";
import type { Directories } from "../node/directories.ts";

const pollMs = 50;
/** Longer than an installation takes. */
const limitMs = 60_000;

/**
 * Runs `work` under the installers' lock of `confDir`, without a lock if the directory
 * is missing. Throws 11 after the time limit.
 */
export async function whileInstalling<T>(
  { host, confDir }: Directories,
  work: () => Promise<T>,
): Promise<T> {
  const fd = openDirectory(host.path(confDir), confDir);
  if (fd === undefined) return work();
  try {
    const until = performance.now() + limitMs;
    while (!tryLock(fd)) {
      if (performance.now() > until)
        throw new CniError(
          Code.tryAgainLater,
          `another genie is installing into ${confDir}`,
        );
      await Bun.sleep(pollMs);
    }
    return await work();
  } finally {
    close(fd);
  }
}

/**
 * As long as this process lives, `uninstall` finds that genie would be installed again:
 * a shared flock on the plugin directory. False if it could not be taken now.
 */
export function keepInstalled({ host, binDir }: Directories): boolean {
  const fd = openDirectory(host.path(binDir), binDir);
  if (fd === undefined) return false;
  const isTaken = tryShare(fd);
  if (!isTaken) close(fd);
  return isTaken;
}

/** Throws 11 while an agent or `install --watch` would install genie again. */
export function requireNoKeeper({ host, binDir }: Directories): void {
  const fd = openDirectory(host.path(binDir), binDir);
  if (fd === undefined) return;
  try {
    if (tryLock(fd)) return;
  } finally {
    close(fd);
  }
  throw new CniError(
    Code.tryAgainLater,
    "`genie agent` or `genie install --watch` runs on this node and would install it again: stop it first, a DaemonSet by `genie manifest --uninstall`",
  );
}

function openDirectory(place: string, path: string): number | undefined {
  try {
    return openIfAny(place, Open.readOnly | Open.nonBlocking);
  } catch (cause) {
    throw new CniError(Code.io, `${path}: ${messageOf(cause)}`, { cause });
  }
}
