/**
 * Numbers to rows: medians, ratios to the empty program, budgets met or missed.
 */
import { budgets, emptyRow, rssBudgetMiB } from "./rows.ts";

/** What was measured of one row, in the order of the measurements. */
export interface Measured {
  row: string;
  ms: readonly number[];
  rssMiB: readonly number[];
  /** Requests that the API server saw, for one run. */
  apiCalls: number;
}

export interface ReportRow {
  row: string;
  medianMs: number;
  minMs: number;
  p95Ms: number;
  /** Of the medians, to the empty program's. */
  ratio: number;
  peakRssMiB: number;
  apiCalls: number;
  /** Absent for a row without a budget. */
  budget?: { ratio: number; rssMiB: number; met: boolean };
}

/** In the order of `measured`. Throws Error without the empty program among them. */
export function reportOf(measured: readonly Measured[]): ReportRow[] {
  const empty = measured.find(({ row }) => row === emptyRow);
  if (!empty) throw new Error(`no measurement of the ${emptyRow}`);
  const unit = quantile(empty.ms, 0.5);
  return measured.map(({ row, ms, rssMiB, apiCalls }) => {
    const ratio = quantile(ms, 0.5) / unit;
    const peakRssMiB = Math.max(...rssMiB);
    const allowed = budgets[row];
    return {
      row,
      medianMs: rounded(quantile(ms, 0.5), 2),
      minMs: rounded(Math.min(...ms), 2),
      p95Ms: rounded(quantile(ms, 0.95), 2),
      ratio: rounded(ratio, 2),
      peakRssMiB: rounded(peakRssMiB, 1),
      apiCalls,
      ...(allowed !== undefined && {
        budget: {
          ratio: allowed,
          rssMiB: rssBudgetMiB,
          met: ratio <= allowed && peakRssMiB <= rssBudgetMiB,
        },
      }),
    };
  });
}

/** Columns for a terminal. */
export function tableOf(rows: readonly ReportRow[]): string {
  const head = ["", "median", "min", "p95", "ratio", "RSS", "API", "budget"];
  const body = rows.map(
    ({ row, medianMs, minMs, p95Ms, ratio, peakRssMiB, apiCalls, budget }) => [
      row,
      `${medianMs.toFixed(1)} ms`,
      `${minMs.toFixed(1)} ms`,
      `${p95Ms.toFixed(1)} ms`,
      ratio.toFixed(2),
      `${peakRssMiB.toFixed(0)} MiB`,
      `${apiCalls}`,
      budget
        ? `${budget.ratio.toFixed(1)}, ${budget.rssMiB} MiB: ${budget.met ? "met" : "missed"}`
        : "",
    ],
  );
  const lines = [head, ...body];
  const widths = head.map((_, i) =>
    Math.max(...lines.map((line) => line[i]?.length ?? 0)),
  );
  return lines.map((line) => aligned(line, widths)).join("\n");
}

/** Names and budgets to the left, numbers to the right. */
function aligned(line: readonly string[], widths: readonly number[]): string {
  const cells = line.map((cell, i) => {
    const width = widths[i] ?? 0;
    return i === 0 || i === line.length - 1
      ? cell.padEnd(width)
      : cell.padStart(width);
  });
  return cells.join("  ").trimEnd();
}

/** The smallest value that so large a part of all does not exceed; between two middle ones, their mean. */
function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = part * sorted.length;
  const lower = sorted[Math.ceil(at) - 1] ?? Number.NaN;
  const upper = sorted[Math.floor(at)] ?? lower;
  return (lower + upper) / 2;
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
