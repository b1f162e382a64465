/**
 * `build.ts` compiles dist/genie for this machine; `build.ts --release` compiles
 * every target. A release is laid out by recorded calls
 * (profile.ts), and so is dist/genie with `--profile`, for the bench. An executable
 * gets its final name only after it was verified.
 */
import { mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { version } from "../package.json";
import { type CompileOptions, compile } from "./compile.ts";
import { readElfHeader } from "../lib/linux/elf.ts";
import { keepFileLimit } from "./file-limit.ts";
import { oneChunk } from "./one-chunk.ts";
import { recordProfile } from "./profile.ts";
import { type Target, targetFor, targets } from "./targets.ts";
import { verifyAnswer, verifyFile } from "./verify.ts";

const root = resolve(import.meta.dir, "..");

const { values: options } = parseArgs({
  options: {
    release: { type: "boolean", default: false },
    profile: { type: "boolean", default: false },
    entry: { type: "string", default: join(root, "genie.ts") },
    dist: { type: "string", default: join(root, "dist") },
  },
});

/** The module that a call for a pod loads. */
const hotPath = {
  module: join(root, "lib/attach/plugin.ts"),
  name: "runAsPlugin",
};

const native = targetFor(await readElfHeader(process.execPath));
const dist = resolve(options.dist);
mkdirSync(dist, { recursive: true });
const scratch = mkdtempSync(join(dist, ".build-"));
try {
  if (options.release) await release();
  else await build();
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/** Upon the Bun that runs us: it is this machine's, and the lock file vouches for it. */
async function build(): Promise<void> {
  const profiles = options.profile ? await record() : [];
  await make(native, join(dist, "genie"), profiles, process.execPath);
}

async function release(): Promise<void> {
  const profiles = await record();
  for (const target of targets)
    await make(target, join(dist, target.name, "genie"), profiles);
}

/** The functions that this machine's executable uses: the same on every target. */
async function record(): Promise<string[]> {
  const genie = join(scratch, "recorded", "genie");
  await compile(optionsFor(native, genie, process.execPath));
  const directory = join(scratch, "node");
  mkdirSync(directory);
  return recordProfile(genie, directory);
}

/** Compiles and verifies the executable of one target. */
async function make(
  target: Target,
  executable: string,
  profiles: readonly string[],
  runtime?: string,
): Promise<void> {
  const outfile = join(scratch, target.name, "genie");
  await compile({ ...optionsFor(target, outfile, runtime), profiles });
  keepFileLimit(outfile);
  await verifyFile(outfile, target.elf);
  const executed = target === native;
  if (executed) verifyAnswer(outfile);
  mkdirSync(dirname(executable), { recursive: true });
  renameSync(outfile, executable);
  const how = executed ? "executed" : "not executed on this machine";
  console.log(
    `${relative(root, executable)}: ${target.name}, ${target.elf.interpreter}, verified, ${how}`,
  );
}

function optionsFor(
  target: Target,
  outfile: string,
  runtime: string | undefined,
): CompileOptions {
  return {
    entry: options.entry,
    outfile,
    target: target.bun,
    ...(runtime !== undefined && { runtime }),
    constants: {
      GENIE_VERSION: version,
      GENIE_LIBC: target.libc,
      GENIE_COMMIT: commit(),
    },
    plugins: [oneChunk(root, hotPath)],
  };
}

/** The commit we are built from; "" in a tree that is not under git. */
function commit(): string {
  const { success, stdout } = Bun.spawnSync(
    ["git", "rev-parse", "--verify", "HEAD"],
    {
      cwd: root,
      stderr: "ignore",
    },
  );
  return success ? stdout.toString().trim() : "";
}
