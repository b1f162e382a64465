/**
 * The executable under test: the one that GENIE_BINARY names, else one that is
 * compiled here from the sources as they are. It is compiled once for the same
 * sources, since every test file is a program of its own.
 */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { errnoOf } from "../../lib/linux/errno.ts";

const root = resolve(import.meta.dir, "../..");

/** Everything that the executable depends on. */
const sources = [
  "genie.ts",
  "lib",
  "scripts",
  "package.json",
  "package-lock.json",
];

/** Executables of other sources are removed after this time without use. */
const oldMs = 60 * 60 * 1000;

let known: string | undefined;

/** The absolute path of the executable. Throws Error with the compiler's words. */
export function genieBinary(): string {
  return (known ??= find());
}

function find(): string {
  const given = process.env["GENIE_BINARY"];
  if (given) return resolve(root, given);
  const cache = join(tmpdir(), "genie-test-builds");
  const directory = join(cache, digest());
  const binary = join(directory, "genie");
  if (statSync(binary, { throwIfNoEntry: false })) return binary;
  mkdirSync(cache, { recursive: true });
  removeOld(cache);
  const scratch = mkdtempSync(join(cache, ".build-"));
  try {
    compile(scratch);
    rename(scratch, directory);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return binary;
}

function compile(dist: string): void {
  const { exitCode, stderr } = Bun.spawnSync({
    cmd: [process.execPath, join(root, "scripts/build.ts"), "--dist", dist],
    stdout: "ignore",
    stderr: "pipe",
  });
  if (exitCode !== 0)
    throw new Error(`failed to build genie: ${stderr.toString().trim()}`);
}

/** Another process may have compiled the same in the meantime. */
function rename(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (errnoOf(error) !== "ENOTEMPTY" && errnoOf(error) !== "EEXIST")
      throw error;
  }
}

function removeOld(cache: string): void {
  for (const entry of readdirSync(cache)) {
    const path = join(cache, entry);
    const modified =
      statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - modified > oldMs)
      rmSync(path, { recursive: true, force: true });
  }
}

/** The digest of the names and contents of all sources, and of the compiler. */
function digest(): string {
  const hasher = new Bun.CryptoHasher("sha256").update(Bun.version_with_sha);
  for (const path of sources.flatMap(files)) {
    hasher.update(`\0${path}\0`).update(readFileSync(join(root, path)));
  }
  return hasher.digest("hex").slice(0, 16);
}

function files(path: string): string[] {
  if (!statSync(join(root, path)).isDirectory()) return [path];
  return readdirSync(join(root, path))
    .toSorted()
    .flatMap((entry) => files(join(path, entry)));
}
