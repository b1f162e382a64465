/**
 * Runs all units and keeps the measurements of each row, in three passes: time, where
 * all rows take turns; memory and requests; system calls. The last two hardly vary and
 * would disturb the first.
 */
import { join } from "node:path";
import type { Api } from "./api.ts";
import { type Measured, Rows } from "./measured.ts";
import { Copies, copyCount } from "./copies.ts";
import { peakRss } from "./rss.ts";
import { type Step, type Unit, perform } from "./step.ts";
import { type Calls, parseTrace, traced } from "./strace.ts";

const memoryRounds = 5;

export interface Plan {
  units: readonly Unit[];
  rounds: number;
  api: Api;
  /** For stdin and traces. */
  directory: string;
  /** Absent where it cannot run. */
  strace?: string;
}

/** The rows in the order of the units. Throws Error at the first wrong response. */
export async function measure(plan: Plan): Promise<Measured[]> {
  const rows = new Rows();
  const programs = stepsOf(plan.units).flatMap(programsOf);
  const copies = new Copies(programs, plan.directory);
  // Once for the disk cache; how long that takes does not count.
  for (let turn = 0; turn < copyCount; turn++)
    for (const step of stepsOf(plan.units)) {
      rows.announce(step);
      perform(copies.step(step, turn));
    }
  measureTime(plan, copies, rows);
  for (let round = 0; round < memoryRounds; round++)
    await measureMemory(plan, copies, round, rows);
  await countCalls(plan, rows);
  return rows.all();
}

function measureTime(
  { units, rounds }: Plan,
  copies: Copies,
  rows: Rows,
): void {
  for (let round = 0; round < rounds; round++) {
    // The bench's own collection, not during a measurement.
    Bun.gc(true);
    const due = units.filter(({ every = 1 }) => round % every === 0);
    for (const unit of shuffled(due)) {
      // Bursts run in every fourth round: theirs take turns, too.
      const turn = round / (unit.every ?? 1);
      const run = (step: Step) => perform(copies.step(step, turn));
      // A program that ran a moment ago is faster: that holds for all of them now.
      for (const step of unit.steps()) run(step);
      for (const step of unit.steps()) rows.add(step, run(step));
    }
  }
}

async function measureMemory(
  { units, api, directory }: Plan,
  copies: Copies,
  turn: number,
  rows: Rows,
): Promise<void> {
  const input = join(directory, "stdin");
  for (const one of stepsOf(units.filter(isSerial))) {
    const step = copies.step(one, turn);
    const row = rows.of(step);
    const [command] = step.commands;
    const before = await api.seen();
    if (command && step.commands.length === 1) {
      const rssMiB = await peakRss(command, step.code ?? 0, input);
      row?.rssMiB.push(rssMiB);
    } else perform(step);
    if (row) row.apiCalls = (await api.seen()).requests - before.requests;
  }
}

async function countCalls(
  { units, strace, directory }: Plan,
  rows: Rows,
): Promise<void> {
  if (strace === undefined) return;
  for (const step of stepsOf(units.filter(isSerial))) {
    const row = rows.of(step);
    const files = step.commands.map((_, i) => join(directory, `trace-${i}`));
    const commands = step.commands.map((command, i) =>
      traced(strace, command, files[i] ?? ""),
    );
    perform({ ...step, commands });
    const calls = sum(await Promise.all(files.map(callsIn)));
    verify(step, calls);
    if (row) row.calls = calls;
  }
}

/** Throws Error when delegates were left out. */
function verify({ commands, programs }: Step, calls: Calls): void {
  if (programs === undefined || calls.programs >= programs) return;
  const verb = commands[0]?.env["CNI_COMMAND"];
  throw new Error(
    `${commands[0]?.argv[0]} ${verb}: expected at least ${programs} programs, got ${calls.programs}`,
  );
}

async function callsIn(file: string): Promise<Calls> {
  return parseTrace(await Bun.file(file).text());
}

function sum(counts: readonly Calls[]): Calls {
  return counts.reduce((one, other) => ({
    systemCalls: one.systemCalls + other.systemCalls,
    bytesRead: one.bytesRead + other.bytesRead,
    programs: one.programs + other.programs,
  }));
}

function stepsOf(units: readonly Unit[]): IteratorObject<Step> {
  return units.values().flatMap((unit) => unit.steps());
}

function programsOf({ commands }: Step): string[] {
  return commands.flatMap(({ argv: [program = ""] }) => program);
}

/** A burst has no memory and no calls of its own. */
function isSerial({ every }: Unit): boolean {
  return every === undefined;
}

/** Random order: the previous program may leave the machine hot or its caches cold. */
function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((value) => ({ value, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ value }) => value);
}
