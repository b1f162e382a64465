/** The open files of this process, for tests of leaks. */
import { readdirSync, readlinkSync } from "node:fs";

/**
 * A function that gives what was opened since this call and is still open. A count would
 * not do: Bun closes the pipes of an earlier child when it likes.
 */
export function descriptorsOpenedNow(): () => string[] {
  const before = new Set(descriptors());
  return () => descriptors().filter((one) => !before.has(one));
}

/** `<number> <target>` of each open file of this process. */
function descriptors(): string[] {
  const directory = "/proc/self/fd";
  return readdirSync(directory).flatMap((fd) => {
    try {
      return `${fd} ${readlinkSync(`${directory}/${fd}`)}`;
    } catch {
      // The one that lists the directory.
      return [];
    }
  });
}
