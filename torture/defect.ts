/**
 * Does the torture find what it is for? Each defect is put into a copy of the
 * sources, compiled and tortured: it must be found, and nothing without one.
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

interface Defect {
  what: string;
  file: string;
  /** Each text is once in the file; otherwise the sources have moved on and this row must follow. */
  edits: readonly { before: string; after: string }[];
}

const defects: readonly Defect[] = [
  // The control: these sources as they are must not be blamed.
  { what: "no defect", file: "lib/attach/add.ts", edits: [] },
  {
    what: "the record is written after the delegates",
    file: "lib/attach/add.ts",
    edits: [
      {
        before:
          "const written =\n    whileShared(dataDir, write) ??\n    (await withRecords(",
        after: "const late = () =>\n    (withRecords(",
      },
      {
        before: "const durable = durability(written);",
        after: "const durable = () => undefined;",
      },
      {
        before: "const problem = durable();",
        after: "const problem = durability(await late())();",
      },
    ],
  },
  {
    what: "an orphaned delegate does not keep the lock",
    file: "lib/attach/operation.ts",
    edits: [
      {
        before: "inherit: lock ? [lock.fd] : [],",
        after: "inherit: lock ? [] : [],",
      },
    ],
  },
  {
    what: "DEL forgets what it could not delete",
    file: "lib/attach/delete-record.ts",
    edits: [
      {
        before: "if (outcome.remaining.length > 0) {",
        after: "if (outcome.remaining.length < 0) {",
      },
    ],
  },
];

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
for (const defect of defects) {
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

/** What the torture found. Throws Error when there was none. */
function tortured({ file, edits }: Defect): string[] {
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
        "--rounds",
        "12",
        "--seconds",
        "60",
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

function edited(
  text: string,
  { before, after }: Defect["edits"][number],
): string {
  const [start, end, ...more] = text.split(before);
  if (end === undefined || more.length > 0)
    throw new Error(`not once in the sources: ${before}`);
  return `${start}${after}${end}`;
}
