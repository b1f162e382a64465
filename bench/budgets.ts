/**
 * The bounds of the bench, and whether a run keeps them. Times are ratios of medians
 * of one run, because milliseconds differ between machines.
 */
import type { ReportRow } from "./report.ts";
import { statusAdd } from "./rows/agent.ts";
import { emptyRow, shellRow } from "./rows/floors.ts";
import {
  cachedReadsAdd,
  failingAdd,
  hangMs,
  hangingAdd,
  program,
  runtimeAdd,
  shellAdd,
  wideRuntimeAdd,
} from "./rows/genie.ts";
import { wideAdd } from "./rows/plugin.ts";
import type { RowName } from "./step.ts";

export interface Verdict {
  what: string;
  value: number;
  allowed: number;
  unit: "× empty" | "MiB" | "× that row";
  met: boolean;
}

/** Medians as multiples of the empty program's. */
export const ratios: Readonly<Record<string, number>> = {
  [runtimeAdd]: 2.3,
  "ADD, one GET": 3.2,
  DEL: 1.95,
  [wideAdd]: 3.9,
};

/** Peak memory of every row of genie. */
export const rssMiB = 36;

/**
 * A delegate that fails costs the ADD of one that succeeds, its DEL, and its time
 * limit. The rest is our own cost; it should be nothing, but as the difference of
 * three measurements it varies a little.
 */
const failures = [
  { call: failingAdd, givenMs: 0 },
  { call: hangingAdd, givenMs: hangMs },
];
export const failureRatio = 0.25;

/** Rows as multiples of others, where both were measured: [program, call], the other, the bound. */
const comparisons = [
  [ofGenie(wideAdd), { program: "Multus shim", call: wideAdd }, 1.1],
  [ofGenie(cachedReadsAdd), { program: "Multus shim", call: wideAdd }, 1.1],
  [ofGenie(statusAdd), { program: "Multus shim", call: wideAdd }, 0.75],
  [ofGenie(statusAdd), ofGenie(wideRuntimeAdd), 0.55],
] as const;

function ofGenie(call: string): RowName {
  return { program, call };
}

/** Throws Error when a row is missing. */
export function verdictsOf(rows: readonly ReportRow[]): Verdict[] {
  const of = (name: RowName) => rowOf(rows, name);
  const own = (call: string) => of({ program, call });
  const empty = of(emptyRow).medianMs;
  const times = Object.entries(ratios).map(([call, allowed]) =>
    verdict(call, own(call).medianMs / empty, allowed),
  );
  const itself = own(shellAdd).medianMs + of(shellRow).medianMs;
  const beyond = failures.map(({ call, givenMs }) => {
    const ms = own(call).medianMs - givenMs - itself;
    return verdict(`${call}: beyond itself`, ms / empty, failureRatio);
  });
  const peak = Math.max(
    ...rows.flatMap((row) =>
      row.program === program ? (row.peakRssMiB ?? []) : [],
    ),
  );
  return [
    ...times,
    ...beyond,
    ...comparisons.flatMap(([name, other, allowed]) => {
      const [one, two] = [name, other].map((wanted) => findRow(rows, wanted));
      if (!one || !two) return [];
      const what = `${name.call}: to ${other.program}`;
      const value = one.medianMs / two.medianMs;
      return [verdict(what, value, allowed, "× that row")];
    }),
    verdict("peak RSS of all rows", peak, rssMiB, "MiB"),
  ];
}

function verdict(
  what: string,
  value: number,
  allowed: number,
  unit: Verdict["unit"] = "× empty",
): Verdict {
  return { what, value, allowed, unit, met: value <= allowed };
}

function rowOf(rows: readonly ReportRow[], name: RowName): ReportRow {
  const row = findRow(rows, name);
  if (!row) throw new Error(`no measurement of ${name.program}: ${name.call}`);
  return row;
}

function findRow(
  rows: readonly ReportRow[],
  { program: whose, call }: RowName,
): ReportRow | undefined {
  return rows.find((one) => one.program === whose && one.call === call);
}
