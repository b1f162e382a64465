/**
 * `defect.ts [TEXT]` tests the torture. It puts each defect, or those whose description
 * contains TEXT, into a copy of the sources, compiles it and runs the torture, which
 * must find the defect. In unchanged sources it must find nothing.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { copyTree } from "../scripts/tree-copy.ts";
import { type Defect, type Edit, defects } from "./defects.ts";
import type { ScenarioName } from "./scenarios/scenarios.ts";

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

/** The findings of the torture. Throws Error when the torture itself fails. */
function tortured({ file, edits, scenario }: Defect): string[] {
  using copy = copyTree();
  const path = join(copy.path, file);
  writeFileSync(path, edits.reduce(edited, readFileSync(path, "utf8")));
  const { exitCode, stdout } = Bun.spawnSync({
    cmd: [
      process.execPath,
      join(copy.path, "torture/torture.ts"),
      "--seed",
      "1",
      ...extentOf(scenario),
    ],
    // The executable of the copy, whatever the caller's variable names.
    env: { ...process.env, GENIE_BINARY: "" },
    stderr: "inherit",
  });
  const findings = stdout.toString().match(/^FOUND: .*/gm) ?? [];
  if (exitCode !== 0 && findings.length === 0)
    throw new Error(`the torture itself failed: ${stdout.toString()}`);
  return findings;
}

/** Options of the torture: one scenario, or crash points, scenarios and rounds. */
function extentOf(scenario: ScenarioName | undefined): string[] {
  return scenario === undefined
    ? ["--rounds", "12", "--seconds", "300"]
    : ["--scenario", scenario];
}

function edited(text: string, { before, after }: Edit): string {
  const [start, end, ...more] = text.split(before);
  if (end === undefined || more.length > 0)
    throw new Error(`not once in the sources: ${before}`);
  return `${start}${after}${end}`;
}
