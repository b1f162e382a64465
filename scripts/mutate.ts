/**
 * Mutation testing: does a test fail when one operator or constant is wrong, or one
 * statement missing? `mutate.ts [--mutants N] [--seed S] [--room DIR]… [--unit]
 * [--tests DIR]…` draws N mutants from each room. For each it runs the test files that
 * load the file, the fastest first, then `tests/integration` with genie run from its
 * sources; with `--unit` only the former, with `--tests` only the former below DIR. It
 * prints each survivor as it is found, and at last the counts. Each worker changes a copy
 * of the tree of its own, and all of them run under `nice`.
 */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, constants, setPriority } from "node:os";
import { dirname, join, normalize } from "node:path";
import { parseArgs } from "node:util";
import { type Mutant, mutantsOf } from "./mutants.ts";
import { copyTree, root } from "./tree-copy.ts";

const { values: options } = parseArgs({
  options: {
    mutants: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
    unit: { type: "boolean", default: false },
    tests: { type: "string", multiple: true },
    room: {
      type: "string",
      multiple: true,
      default: ["lib/select", "lib/attach", "lib/state"],
    },
  },
});

// The tests inherit it.
setPriority(constants.priority.PRIORITY_LOW);

/** Seconds for one run of tests: a mutant that exceeds them is dead as well. */
const limit = { unit: 180, whole: 900 };

type Verdict = "unit" | "whole" | "survived";

interface Job extends Mutant {
  file: string;
}

const unitOnly = options.unit || options.tests !== undefined;
const reaching = testsByModule();
const jobs = options.room.flatMap(drawn);
const total = jobs.length;
const verdicts: { job: Job; verdict: Verdict }[] = [];
const durations = await passingTests();
await Promise.all(
  Array.from({ length: availableParallelism() }, async () => {
    using tree = executableTree();
    for (let job = jobs.shift(); job; job = jobs.shift()) {
      const verdict = await judge(tree.path, job);
      verdicts.push({ job, verdict });
      if (verdict === "survived")
        console.log(`${job.file}:${job.line}: ${job.from} → ${job.to}`);
      if (process.stderr.isTTY)
        await Bun.write(Bun.stderr, `\r${verdicts.length} of ${total} `);
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
    for (const file of byDuration(reaching.get(job.file) ?? []))
      if (!(await passes(tree, [file], limit.unit))) return "unit";
    if (unitOnly) return "survived";
    const suites = byDuration(wholeSuites());
    const whole = await passes(tree, suites, limit.whole);
    return whole ? "survived" : "whole";
  } finally {
    writeFileSync(path, original);
  }
}

/** The usable files of `tests`, the fastest first: most mutants die in a fast one. */
function byDuration(tests: readonly string[]): string[] {
  return [...durations.keys()].filter((file) => tests.includes(file));
}

/** Suites of the executable, without the one that needs genie to be a binary. */
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
    // A busy machine must not kill mutants.
    cmd: [
      process.execPath,
      "test",
      "--isolate",
      "--bail",
      "--timeout=60000",
      ...tests,
    ],
    cwd: tree,
    env: { ...process.env, GENIE_BINARY: join(tree, "genie") },
    stdio: ["ignore", "ignore", "ignore"],
    timeout: seconds * 1000,
    killSignal: "SIGKILL",
  });
  return (await child.exited) === 0;
}

/** A copy with a file `genie` that runs its sources. */
function executableTree(): { path: string } & Disposable {
  const tree = copyTree();
  const script = `#!/bin/sh\nexec ${process.execPath} ${join(tree.path, "genie.ts")} "$@"\n`;
  writeFileSync(join(tree.path, "genie"), script);
  chmodSync(join(tree.path, "genie"), 0o755);
  mkdirSync(join(tree.path, "dist"), { recursive: true });
  return tree;
}

/**
 * The test files that pass without a mutant, and how many ms each takes, in ascending
 * order. The others would report every mutant as dead; they are named on stderr and
 * left out.
 */
async function passingTests(): Promise<ReadonlyMap<string, number>> {
  const unit = jobs.flatMap(({ file }) => reaching.get(file) ?? []);
  const files = new Set([...unit, ...(unitOnly ? [] : wholeSuites())]);
  const passing = new Map<string, number>();
  using tree = executableTree();
  for (const file of files) {
    const start = performance.now();
    if (await passes(tree.path, [file], limit.whole))
      passing.set(file, performance.now() - start);
    else console.error(`left out, fails without a mutant: ${file}`);
  }
  return new Map([...passing].toSorted(([, a], [, b]) => a - b));
}

/**
 * For each module of the tree, the test files outside of `tests/integration` that load it.
 * A test that runs the executable loads the modules of its own room.
 */
function testsByModule(): Map<string, string[]> {
  const tests = new Map<string, string[]>();
  for (const test of new Bun.Glob("tests/**/*.test.ts").scanSync(root)) {
    if (/^tests\/(?:integration|smoke|cluster)\//.test(test)) continue;
    if (options.tests?.every((dir) => !test.startsWith(`${dir}/`))) continue;
    for (const module of modulesOf(test))
      tests.set(module, [...(tests.get(module) ?? []), test]);
  }
  return tests;
}

function modulesOf(test: string): ReadonlySet<string> {
  const loaded = loadedBy(test);
  if (!loaded.has("tests/support/build.ts")) return loaded;
  const room = dirname(test).replace("tests/", "lib/");
  const executed = [...loadedBy("genie.ts")];
  return new Set([
    ...loaded,
    ...executed.filter((module) => module.startsWith(`${room}/`)),
  ]);
}

function loadedBy(file: string, seen = new Set<string>()): Set<string> {
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  const source = readFileSync(join(root, file), "utf8");
  // The transpiler takes no `#!` of an executable.
  for (const { path } of transpiler.scanImports(source.replace(/^#!.*/, ""))) {
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
}
