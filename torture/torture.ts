/**
 * `torture.ts [--seed N] [--rounds N] [--seconds N] [--json FILE] [--only PART | --scenario NAME]`:
 * tortures the executable on a node of its own and fails when anything is left, or was said
 * that no runtime should hear. The same seed repeats the same schedule.
 */
import { parseArgs } from "node:util";
import { isolated, isolatedDirectory } from "./isolation.ts";
import { textOf } from "./report.ts";
import { torture } from "./run.ts";
import { isScenario, scenarios } from "./scenarios/scenarios.ts";
import { makeSchedule } from "./schedule.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "" },
    rounds: { type: "string", default: "" },
    seconds: { type: "string", default: "" },
    json: { type: "string" },
    /** Only this part. */
    only: { type: "string" },
    /** Only this scenario. */
    scenario: { type: "string" },
  },
});
// Empty is absent: make passes SEED and ROUNDS on as they are.
const seed = Number(
  values.seed || crypto.getRandomValues(new Uint32Array(1))[0],
);
const rounds = Number(values.rounds || 45);
const seconds = Number(values.seconds || 540);
if (
  ![seed, rounds, seconds].every(
    (number) => Number.isSafeInteger(number) && number >= 0,
  )
) {
  console.error("torture: --seed, --rounds and --seconds are whole numbers");
  process.exit(2);
}

const parts = ["points", "scenarios", "rounds"];
const only =
  values.only ?? (values.scenario === undefined ? undefined : "scenarios");
if (only !== undefined && !parts.includes(only)) {
  console.error(`torture: --only is one of: ${parts.join(", ")}`);
  process.exit(2);
}

const names = Object.keys(scenarios).filter(isScenario);
const chosen = names.filter((name) => name === (values.scenario ?? name));
if (chosen.length === 0) {
  console.error(`torture: --scenario is one of: ${names.join(", ")}`);
  process.exit(2);
}

const directory = isolatedDirectory();
process.exit(
  directory === undefined ? await outside() : await inside(directory),
);

async function outside(): Promise<number> {
  console.log(`torture: seed ${seed}, ${rounds} rounds`);
  // The last --seed counts: a seed of chance is the same inside.
  const args = [...process.argv.slice(2), `--seed=${seed}`];
  return isolated(import.meta.path, args, seconds + 120);
}

async function inside(path: string): Promise<number> {
  const has = (part: string) => part === (only ?? part);
  const schedule = makeSchedule(seed, has("rounds") ? rounds : 0);
  const figures = await torture(schedule, path, {
    seconds,
    points: has("points"),
    scenarios: has("scenarios") ? chosen : [],
  });
  if (values.json !== undefined)
    await Bun.write(values.json, JSON.stringify(figures));
  console.log(textOf(figures));
  return figures.findings.length === 0 ? 0 : 1;
}
