/**
 * The executable of genie 0.1.0, compiled from its commit in the history, once for each
 * compiler, into a cache outside of the tree.
 */
import {
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { run } from "../../scripts/run.ts";

/** The last commit before what CHANGELOG.md has as unreleased. */
const commit = "35101471975258e8881f1e520473eed9106a55e1";

const root = resolve(import.meta.dir, "../..");

/** Its path. Throws Error with the words of git or of the compiler. */
export async function releasedGenie(): Promise<string> {
  const home = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  const name = `${commit.slice(0, 12)}-${Bun.revision.slice(0, 8)}`;
  const target = join(home, "genie-upgrade", name);
  const genie = join(target, "dist/genie");
  if (existsSync(genie)) return genie;
  const scratch = `${target}.${process.pid}`;
  mkdirSync(scratch, { recursive: true });
  try {
    const archive = join(scratch, "sources.tar");
    await run(["git", "archive", `--output=${archive}`, commit], { cwd: root });
    await run(["tar", "xf", archive], { cwd: scratch });
    // It has the same dependencies.
    symlinkSync(join(root, "node_modules"), join(scratch, "node_modules"));
    await run([process.execPath, "scripts/build.ts"], {
      cwd: scratch,
      seconds: 300,
    });
    rmSync(target, { recursive: true, force: true });
    renameSync(scratch, target);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return genie;
}
