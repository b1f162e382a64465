/**
 * Measurements to the rows of the report: quantiles, and ratios to the empty
 * program.
 */
import type { Measured } from "./measured.ts";
import { emptyRow } from "./rows/floors.ts";
import { median, quantile, rounded } from "./stats.ts";
import type { RowName } from "./step.ts";

/** A figure that was not measured is absent. */
export interface ReportRow extends RowName {
  /** How many measurements, and how many processes they are. */
  count: number;
  processes: number;
  medianMs: number;
  minMs: number;
  p5Ms: number;
  p95Ms: number;
  /** The median, divided by the empty program's. */
  ratio: number;
  /** User and system time: the median. */
  cpuMs?: number;
  peakRssMiB?: number;
  apiCalls?: number;
  systemCalls?: number;
  bytesRead?: number;
  /** Processes with a wrong response, in rows that allow it. */
  failed: number;
}

/** In the order of `measured`. Throws Error without the empty program among them. */
export function reportOf(measured: readonly Measured[]): ReportRow[] {
  const empty = measured.find(
    ({ program, call }) =>
      program === emptyRow.program && call === emptyRow.call,
  );
  if (!empty) throw new Error(`no measurement of the ${emptyRow.call}`);
  const unit = median(empty.ms);
  return measured.map(({ program, call, processes, failed, ...row }) => ({
    program,
    call,
    count: row.ms.length,
    processes,
    medianMs: rounded(median(row.ms), 3),
    minMs: rounded(Math.min(...row.ms), 3),
    p5Ms: rounded(quantile(row.ms, 0.05), 3),
    p95Ms: rounded(quantile(row.ms, 0.95), 3),
    ratio: rounded(median(row.ms) / unit, 3),
    ...(row.cpuMs.length > 0 && { cpuMs: rounded(median(row.cpuMs), 3) }),
    ...(row.rssMiB.length > 0 && {
      peakRssMiB: rounded(Math.max(...row.rssMiB), 1),
    }),
    ...(row.apiCalls !== undefined && { apiCalls: row.apiCalls }),
    ...(row.calls && {
      systemCalls: row.calls.systemCalls,
      bytesRead: row.calls.bytesRead,
    }),
    failed,
  }));
}
