/**
 * Rows as they come from a run, for the tests of what is made of them.
 */
import type { Measured } from "../../bench/measured.ts";
import type { ReportRow } from "../../bench/report.ts";

export function measured(
  program: string,
  call: string,
  ms: number[],
  more: Partial<Measured> = {},
): Measured {
  return {
    program,
    call,
    ms,
    cpuMs: [],
    rssMiB: [],
    processes: ms.length,
    failed: 0,
    ...more,
  };
}

export function row(
  program: string,
  call: string,
  medianMs: number,
  more: Partial<ReportRow> = {},
): ReportRow {
  return {
    program,
    call,
    count: 40,
    processes: 40,
    medianMs,
    minMs: medianMs / 2,
    p5Ms: medianMs / 2,
    p95Ms: medianMs * 2,
    ratio: medianMs / 5,
    failed: 0,
    ...more,
  };
}
