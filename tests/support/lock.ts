/** Another operation that works on a container. */
import { mkdirSync, writeFileSync } from "node:fs";
import { type Lock, lockIfLeft } from "../../lib/state/lock.ts";
import { lockPath } from "../../lib/state/lock-file.ts";

/** Takes the container's lock at once; undefined when it is taken. */
export function lockNow(
  dataDir: string,
  containerId: string,
): Lock | undefined {
  const path = lockPath(dataDir, containerId);
  mkdirSync(`${dataDir}/locks`, { recursive: true, mode: 0o700 });
  writeFileSync(path, "", { flag: "a", mode: 0o600 });
  return lockIfLeft(path);
}
