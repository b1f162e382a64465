/**
 * Installers of one node take turns: a DaemonSet's `install --watch` and a
 * person's `install` would each write back what it read before the other wrote.
 * The lock is a flock on the directory of configurations itself, so it leaves no
 * file there, and works where a container has mounted that directory.
 */
import { Code, CniError, errnoOf, messageOf } from "../cni/error.ts";
import { Open, close, open, tryLock } from "../cni/libc.ts";
import type { Host } from "./host.ts";

const pollMs = 50;
/** More than an installer takes that copies and tries an executable. */
const limitMs = 60_000;

/** Does `work` while no other installer works on `confDir`, a path of the node. Throws 11 when the time is over. */
export async function whileInstalling<T>(
  confDir: string,
  host: Host,
  work: () => Promise<T>,
): Promise<T> {
  const fd = openDirectory(host.path(confDir), confDir);
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

function openDirectory(place: string, confDir: string): number {
  try {
    return open(place, Open.readOnly | Open.nonBlocking);
  } catch (cause) {
    const problem =
      errnoOf(cause) === "ENOENT"
        ? "no such directory: name the runtime's with --conf-dir, or install the first network"
        : messageOf(cause);
    throw new CniError(Code.io, `${confDir}: ${problem}`, { cause });
  }
}
