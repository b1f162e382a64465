/**
 * Measures whole processes as a runtime starts them, all rows interleaved in one
 * run, so that whatever slows the machine slows all of them. Prints a table and
 * writes bench/report.json. A missed budget is reported and is no failure; a
 * wrong answer is one. ROUNDS (at least 30, default 40) is how often.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, release, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { version } from "../package.json";
import { compile } from "../scripts/compile.ts";
import { readElfHeader } from "../scripts/elf.ts";
import { targetFor } from "../scripts/targets.ts";
import { NoopNode } from "../tests/smoke/noop-node.ts";
import { type Api, startApi } from "./api.ts";
import { printing } from "./noop.ts";
import { type Measured, reportOf, tableOf } from "./report.ts";
import { type Unit, unitsOf } from "./rows.ts";
import { peakMemory, timed } from "./run.ts";

const minRounds = 30;
/** Memory does not vary as time does. */
const memoryRounds = 5;

const root = resolve(import.meta.dir, "..");
const rounds = roundsOf(process.env["ROUNDS"] ?? "40");
const scratch = mkdtempSync(join(tmpdir(), "genie-bench-"));
try {
  using node = new NoopNode();
  node.plugin("noop", printing(JSON.stringify(resultOf(node.netns))));
  using api = await startApi();
  const programs = {
    genie: join(root, "dist/genie"),
    empty: await compileEmpty(),
  };
  const measured = await measure(unitsOf(programs, node, api.kubeconfig), api);
  await report(measured);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/** What the delegate answers to every verb; only ADD's caller reads it. */
function resultOf(sandbox: string) {
  return {
    cniVersion: "1.0.0",
    interfaces: [{ name: "eth0", sandbox }],
    ips: [{ address: "10.1.2.3/24", interface: 0 }],
  };
}

async function measure(units: readonly Unit[], api: Api): Promise<Measured[]> {
  const rows = new Map<
    string,
    { ms: number[]; rssMiB: number[]; apiCalls: number }
  >();
  const values = (row: string) =>
    rows.getOrInsertComputed(row, () => ({ ms: [], rssMiB: [], apiCalls: 0 }));

  // Once for the disk cache; how long that takes does not count.
  for (const unit of units) unit(freshId()).forEach(timed);

  for (let round = 0; round < rounds; round++) {
    for (const step of turned(units, round).flatMap((unit) =>
      unit(freshId()),
    )) {
      const ms = timed(step);
      if (step.row !== undefined) values(step.row).ms.push(ms);
    }
  }
  for (let round = 0; round < memoryRounds; round++) {
    for (const step of units.flatMap((unit) => unit(freshId()))) {
      const before = await api.requests();
      const rssMiB = await peakMemory(step, scratch);
      if (step.row === undefined) continue;
      values(step.row).rssMiB.push(rssMiB);
      values(step.row).apiCalls = (await api.requests()) - before;
    }
  }
  return [...rows].map(([row, value]) => ({ row, ...value }));
}

/** Another one first in every round, so that nobody always follows the same one. */
function turned<T>(list: readonly T[], by: number): T[] {
  const at = by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

/** As containerd makes them: 64 hexadecimal digits. */
function freshId(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString(
    "hex",
  );
}

/** With the flags of genie, upon the same Bun. */
async function compileEmpty(): Promise<string> {
  const outfile = join(scratch, "empty");
  const target = targetFor(await readElfHeader(process.execPath));
  await compile({
    entry: join(import.meta.dir, "empty.ts"),
    outfile,
    target: target.bun,
    runtime: process.execPath,
    constants: {},
  });
  return outfile;
}

async function report(measured: readonly Measured[]): Promise<void> {
  const rows = reportOf(measured);
  const machine = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    kernel: release(),
  };
  const content = { version, bun: Bun.version, machine, rounds, rows };
  await Bun.write(
    join(import.meta.dir, "report.json"),
    `${JSON.stringify(content, null, 2)}\n`,
  );
  console.log(
    `${tableOf(rows)}\n\n${rounds} rounds; ratio: to the median of the empty program`,
  );
}

function roundsOf(text: string): number {
  const count = Number(text);
  if (Number.isSafeInteger(count) && count >= minRounds) return count;
  throw new Error(
    `ROUNDS: expected a number from ${minRounds} up, got ${JSON.stringify(text)}`,
  );
}
