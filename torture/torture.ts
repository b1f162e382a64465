/**
 * `torture.ts [--seed N] [--rounds N] [--seconds N] [--json FILE] [--no-points]`:
 * tortures the executable on a node of its own and fails when anything is left, or was said
 * that no runtime should hear. The same seed repeats the same schedule.
 */
import { parseArgs } from "node:util";
import { isolated, isolatedFolder } from "./isolation.ts";
import { textOf } from "./report.ts";
import { torture } from "./run.ts";
import { makeSchedule } from "./schedule.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "" },
    rounds: { type: "string", default: "" },
    seconds: { type: "string", default: "" },
    json: { type: "string" },
    "no-points": { type: "boolean", default: false },
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

const folder = isolatedFolder();
process.exit(folder === undefined ? await outside() : await inside(folder));

async function outside(): Promise<number> {
  console.log(`torture: seed ${seed}, ${rounds} rounds`);
  const args = [
    "--seed",
    `${seed}`,
    "--rounds",
    `${rounds}`,
    "--seconds",
    `${seconds}`,
  ];
  if (values.json !== undefined) args.push("--json", values.json);
  if (values["no-points"]) args.push("--no-points");
  return isolated(import.meta.path, args, seconds + 120);
}

async function inside(path: string): Promise<number> {
  const figures = await torture(makeSchedule(seed, rounds), path, {
    seconds,
    points: !values["no-points"],
  });
  if (values.json !== undefined)
    await Bun.write(values.json, JSON.stringify(figures));
  console.log(textOf(figures));
  return figures.findings.length === 0 ? 0 : 1;
}
