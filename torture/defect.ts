/**
 * `defect.ts [TEXT]`: does the torture find what it is for? Each defect, or those
 * with this text in their description, is put into a copy of the sources, compiled
 * and tortured: it must be found, and nothing without one.
 */
import {
  cpSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Defect, type Edit, defects } from "./defects.ts";
import type { ScenarioName } from "./scenarios/scenarios.ts";

const root = resolve(import.meta.dir, "..");
const copied = [
  "genie.ts",
  "lib",
  "scripts",
  "torture",
  "tests/support",
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "bunfig.toml",
];

let wrong = 0;
const wanted = process.argv[2] ?? "";
for (const defect of defects.filter(({ what }) => what.includes(wanted))) {
  const findings = tortured(defect);
  const right = findings.length > 0 === defect.edits.length > 0;
  const verdict =
    findings.length > 0 ? `${findings.length} findings` : "nothing found";
  console.log(
    [
      `${right ? "right" : "WRONG"}: ${defect.what}: ${verdict}`,
      ...findings.slice(0, 3),
    ].join("\n  "),
  );
  if (!right) wrong++;
}
process.exit(wrong === 0 ? 0 : 1);

/** What the torture found. Throws Error when it failed itself. */
function tortured({ file, edits, scenario }: Defect): string[] {
  const copy = mkdtempSync(join(tmpdir(), "genie-defect-"));
  try {
    for (const path of copied)
      cpSync(join(root, path), join(copy, path), { recursive: true });
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
    const path = join(copy, file);
    writeFileSync(path, edits.reduce(edited, readFileSync(path, "utf8")));
    // Its own executable, whatever is given to us.
    const { exitCode, stdout } = Bun.spawnSync({
      cmd: [
        process.execPath,
        join(copy, "torture/torture.ts"),
        "--seed",
        "1",
        ...extentOf(scenario),
      ],
      env: { ...process.env, GENIE_BINARY: "" },
      stderr: "inherit",
    });
    const findings = stdout.toString().match(/^FOUND: .*/gm) ?? [];
    if (exitCode !== 0 && findings.length === 0)
      throw new Error(`the torture itself failed: ${stdout.toString()}`);
    return findings;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** Everything where no scenario is made for the defect. */
function extentOf(scenario: ScenarioName | undefined): string[] {
  return scenario === undefined
    ? ["--rounds", "12", "--seconds", "60"]
    : ["--rounds", "0", "--no-points", "--scenario", scenario];
}

function edited(text: string, { before, after }: Edit): string {
  const [start, end, ...more] = text.split(before);
  if (end === undefined || more.length > 0)
    throw new Error(`not once in the sources: ${before}`);
  return `${start}${after}${end}`;
}
