/**
 * The report as text for a terminal.
 */
import type { Verdict } from "./budgets.ts";
import type { ReportRow } from "./report.ts";

type Column = readonly [heading: string, cell: (row: ReportRow) => string];

const columns: readonly Column[] = [
  ["", ({ call }) => `  ${call}`],
  ["n", ({ count }) => `${count}`],
  ["median", ({ medianMs }) => ms(medianMs)],
  ["min", ({ minMs }) => ms(minMs)],
  ["p95", ({ p95Ms }) => ms(p95Ms)],
  ["ratio", ({ ratio }) => ratio.toFixed(2)],
  ["CPU", ({ cpuMs }) => given(cpuMs, ms)],
  ["RSS", ({ peakRssMiB }) => given(peakRssMiB, (mib) => mib.toFixed(1))],
  ["API", ({ apiCalls }) => given(apiCalls, String)],
  ["syscalls", ({ systemCalls }) => given(systemCalls, String)],
  ["read", ({ bytesRead }) => given(bytesRead, kibibytes)],
  [
    "",
    ({ failed, processes }) =>
      failed ? `${failed} of ${processes} failed` : "",
  ],
];

/** A block for each program, in the order of the rows. */
export function tableOf(rows: readonly ReportRow[]): string {
  const head = columns.map(([heading]) => heading);
  const body = rows.map((row) => columns.map(([, cell]) => cell(row)));
  const widths = columns.map((_, i) =>
    Math.max(...[head, ...body].map((line) => line[i]?.length ?? 0)),
  );
  const programs = new Set(rows.map(({ program }) => program));
  const blocks = [...programs].flatMap((program) => [
    program,
    ...body
      .filter((_, i) => rows[i]?.program === program)
      .map((line) => aligned(line, widths)),
  ]);
  return [aligned(head, widths), ...blocks].join("\n");
}

/** The budgets, met or missed. */
export function verdictTableOf(verdicts: readonly Verdict[]): string {
  const lines = verdicts.map(({ what, value, allowed, unit, met }) => [
    `  ${what}`,
    `${digits(value, unit)} ${unit}`,
    `at most ${digits(allowed, unit)}`,
    met ? "met" : "MISSED",
  ]);
  const widths = [0, 1, 2, 3].map((i) =>
    Math.max(...lines.map((line) => line[i]?.length ?? 0)),
  );
  return lines.map((line) => aligned(line, widths)).join("\n");
}

/** Words to the left, numbers to the right. */
function aligned(line: readonly string[], widths: readonly number[]): string {
  const last = line.length - 1;
  const cells = line.map((cell, i) =>
    i === 0 || i === last
      ? cell.padEnd(widths[i] ?? 0)
      : cell.padStart(widths[i] ?? 0),
  );
  return cells.join("  ").trimEnd();
}

function given<T>(value: T | undefined, format: (value: T) => string): string {
  return value === undefined ? "-" : format(value);
}

function ms(value: number): string {
  return value.toFixed(value < 100 ? 2 : 1);
}

function kibibytes(bytes: number): string {
  return (bytes / 1024).toFixed(1);
}

function digits(value: number, unit: Verdict["unit"]): string {
  return value.toFixed(unit === "MiB" ? 1 : 2);
}
