/**
 * Installers of one node take turns: a DaemonSet's `install --watch` and a
 * person's `install` or `uninstall` would each write back what it read before the other wrote.
 * The lock is a flock on the directory of configurations itself, so it leaves no
 * file there, and works where a container has mounted that directory.
 */
import { Code, CniError } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import { Open, close, openIfAny, tryLock } from "../linux/libc.ts";
import type { Host } from "./host.ts";

const pollMs = 50;
/** More than an installer takes that copies and tries an executable. */
const limitMs = 60_000;

/**
 * Does `work` while no other installer works on `confDir`, a path of the node; a
 * directory that is not there is nobody's. Throws 11 when the time is over.
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
