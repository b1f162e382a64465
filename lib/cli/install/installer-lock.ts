/**
 * One installer at a time on a node. A DaemonSet's agent, an operator's `install` or
 * `uninstall` would overwrite each other's changes. The lock is a flock on the directory
 * of configurations, so it needs no file there and works through a mount.
 */
import { Code, CniError } from "../../cni/error.ts";
import { messageOf } from "../../linux/errno.ts";
import { Open, close, openIfAny } from "../../linux/file-calls.ts";
import { tryLock } from "../../linux/file-lock.ts";
import type { Host } from "../node/host.ts";

const pollMs = 50;
/** Longer than an installation takes. */
const limitMs = 60_000;

/**
 * Runs `work` under the installers' lock of `confDir` (a path of the node), without
 * a lock if the directory is missing. Throws 11 after the time limit.
 */
export async function whileInstalling<T>(
  confDir: string,
  host: Host,
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

function openDirectory(place: string, confDir: string): number | undefined {
  try {
    return openIfAny(place, Open.readOnly | Open.nonBlocking);
  } catch (cause) {
    throw new CniError(Code.io, `${confDir}: ${messageOf(cause)}`, { cause });
  }
}
