/**
 * A copy of the tracked files as they are now, for programs that put faults into
 * the sources. It shares node_modules and is removed when it goes out of scope.
 */
import { chmodSync, cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export const root = resolve(import.meta.dir, "..");

export function copyTree(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "genie-sources-"));
  // Some tests run genie as another user.
  chmodSync(path, 0o755);
  const { stdout } = Bun.spawnSync(["git", "ls-files", "-z"], { cwd: root });
  for (const file of stdout.toString().split("\0").filter(Boolean))
    cpSync(join(root, file), join(path, file));
  symlinkSync(join(root, "node_modules"), join(path, "node_modules"));
  return {
    path,
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}
