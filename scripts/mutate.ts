/**
 * Mutation testing of `lib/select` and `lib/attach`: does a test fail when one
 * operator or constant is wrong? `mutate.ts [--mutants N] [--seed S] [--room DIR]… [--unit]`
 * draws N mutants from each room and runs, for each, first the test files whose
 * imports reach it, then the suites of the whole program (`tests/integration`),
 * with genie run from its sources. The table counts what died and where; the
 * survivors are listed. Nothing is changed in the tree: each worker has a copy.
 */
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join, normalize, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Mutant, mutantsOf } from "./mutants.ts";

const root = resolve(import.meta.dir, "..");

const { values: options } = parseArgs({
  options: {
    mutants: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
    unit: { type: "boolean", default: false },
    room: {
      type: "string",
      multiple: true,
      default: ["lib/select", "lib/attach"],
    },
  },
});

/** Seconds of one run of tests: a mutant that never ends is dead as well. */
const limit = { unit: 180, whole: 900 };

type Verdict = "unit" | "whole" | "survived";

interface Job extends Mutant {
  file: string;
}

const reaching = testsByModule();
const jobs = options.room.flatMap(drawn);
const total = jobs.length;
const verdicts: { job: Job; verdict: Verdict }[] = [];
const usable = await passingTests();
await Promise.all(
  Array.from({ length: availableParallelism() }, async () => {
    const tree = copyOfTree();
    try {
      for (let job = jobs.shift(); job; job = jobs.shift()) {
        verdicts.push({ job, verdict: await judge(tree, job) });
        if (process.stderr.isTTY)
          await Bun.write(Bun.stderr, `\r${verdicts.length} of ${total} `);
      }
    } finally {
      rmSync(tree, { recursive: true, force: true });
    }
  }),
);
report();

/** The mutants of one room, the same for the same seed and sources. */
function drawn(room: string): Job[] {
  const all = [...new Bun.Glob(`${room}/**/*.ts`).scanSync(root)]
    .toSorted()
    .flatMap((file) =>
      mutantsOf(readFileSync(join(root, file), "utf8")).map((mutant) => ({
        ...mutant,
        file,
      })),
    );
  const rank = (job: Job) =>
    Bun.hash(
      `${options.seed} ${job.file}:${job.line} ${job.source.length} ${job.from}`,
    );
  return all
    .map((job) => ({ job, key: rank(job) }))
    .toSorted((a, b) => (a.key < b.key ? -1 : 1))
    .slice(0, Number(options.mutants))
    .map(({ job }) => job);
}

async function judge(tree: string, job: Job): Promise<Verdict> {
  const path = join(tree, job.file);
  const original = readFileSync(path);
  writeFileSync(path, job.source);
  try {
    const isUsable = (file: string) => usable.has(file);
    const unit = (reaching.get(job.file) ?? []).filter(isUsable);
    if (unit.length > 0 && !(await passes(tree, unit, limit.unit)))
      return "unit";
    if (options.unit) return "survived";
    const whole = await passes(
      tree,
      wholeSuites().filter(isUsable),
      limit.whole,
    );
    return whole ? "survived" : "whole";
  } finally {
    writeFileSync(path, original);
  }
}

/** Of the executable; without the suite that needs genie to be a file of its own. */
function wholeSuites(): string[] {
  return [...new Bun.Glob("tests/integration/*.test.ts").scanSync(root)]
    .filter((file) => !file.endsWith("/self.test.ts"))
    .toSorted();
}

async function passes(
  tree: string,
  tests: readonly string[],
  seconds: number,
): Promise<boolean> {
  const child = Bun.spawn({
    cmd: [process.execPath, "test", "--isolate", "--bail", ...tests],
    cwd: tree,
    env: { ...process.env, GENIE_BINARY: join(tree, "genie") },
    stdio: ["ignore", "ignore", "ignore"],
    timeout: seconds * 1000,
    killSignal: "SIGKILL",
  });
  return (await child.exited) === 0;
}

/** The tracked files as they are, where a worker changes them; genie is run from them. */
function copyOfTree(): string {
  const tree = mkdtempSync(join(tmpdir(), "genie-mutate-"));
  // Some tests run genie as another user.
  chmodSync(tree, 0o755);
  const { stdout } = Bun.spawnSync(["git", "ls-files", "-z"], { cwd: root });
  for (const path of stdout.toString().split("\0").filter(Boolean))
    cpSync(join(root, path), join(tree, path));
  symlinkSync(join(root, "node_modules"), join(tree, "node_modules"));
  const script = `#!/bin/sh\nexec ${process.execPath} ${join(tree, "genie.ts")} "$@"\n`;
  writeFileSync(join(tree, "genie"), script);
  chmodSync(join(tree, "genie"), 0o755);
  mkdirSync(join(tree, "dist"), { recursive: true });
  return tree;
}

/**
 * The test files that pass without a mutant; the others, which would show every
 * mutant as dead, are named and left out.
 */
async function passingTests(): Promise<ReadonlySet<string>> {
  const unit = [...reaching.values()].flat();
  const files = new Set([...unit, ...(options.unit ? [] : wholeSuites())]);
  const passing = new Set<string>();
  const tree = copyOfTree();
  try {
    for (const file of files) {
      if (await passes(tree, [file], limit.whole)) passing.add(file);
      else console.error(`left out, fails without a mutant: ${file}`);
    }
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
  return passing;
}

/** For each module of ours, the test files outside of `tests/integration` that load it. */
function testsByModule(): Map<string, string[]> {
  const tests = new Map<string, string[]>();
  for (const test of new Bun.Glob("tests/**/*.test.ts").scanSync(root)) {
    if (/^tests\/(?:integration|smoke|cluster)\//.test(test)) continue;
    for (const module of loadedBy(test))
      tests.set(module, [...(tests.get(module) ?? []), test]);
  }
  return tests;
}

function loadedBy(file: string, seen = new Set<string>()): Set<string> {
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  const source = readFileSync(join(root, file), "utf8");
  for (const { path } of transpiler.scanImports(source)) {
    if (!path.startsWith(".")) continue;
    const target = normalize(join(dirname(file), path));
    if (seen.has(target) || !target.endsWith(".ts")) continue;
    seen.add(target);
    loadedBy(target, seen);
  }
  return seen;
}

function report(): void {
  for (const room of options.room) {
    const own = verdicts.filter(({ job }) => job.file.startsWith(`${room}/`));
    const count = (verdict: Verdict) =>
      own.filter((one) => one.verdict === verdict).length;
    const dead = count("unit") + count("whole");
    console.log(
      `${room}: ${own.length} mutants, ${dead} died (${count("unit")} by unit tests, ${count("whole")} by the whole program), ${count("survived")} survived: ${((100 * dead) / Math.max(own.length, 1)).toFixed(1)} %`,
    );
  }
  for (const { job, verdict } of verdicts)
    if (verdict === "survived")
      console.log(`  ${job.file}:${job.line}: ${job.from} → ${job.to}`);
}
