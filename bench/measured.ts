/**
 * The measurements, by row.
 */
import type { RowName, Step, StepResult } from "./step.ts";
import type { Calls } from "./strace.ts";

/** The measurements of one row, in their order. */
export interface Measured extends RowName {
  /** Milliseconds of the whole step: a burst is one measurement. */
  ms: number[];
  cpuMs: number[];
  rssMiB: number[];
  /** Requests that the API server saw, for one run. */
  apiCalls?: number;
  /** For one run. */
  calls?: Calls;
  /** Measured processes, and those with a wrong response. */
  processes: number;
  failed: number;
}

export class Rows {
  readonly #rows = new Map<string, Measured>();

  /** Fixes the order. */
  announce({ row, each }: Step): void {
    for (const name of [row, each]) if (name) this.#at(name);
  }

  /** undefined for a step without a row. */
  of({ row }: Step): Measured | undefined {
    return row && this.#at(row);
  }

  add(step: Step, { ms, cpuMs, eachMs, failed }: StepResult): void {
    const row = this.of(step);
    row?.ms.push(ms);
    row?.cpuMs.push(cpuMs);
    if (row) row.processes += eachMs.length;
    if (row) row.failed += failed;
    if (!step.each) return;
    const each = this.#at(step.each);
    each.ms.push(...eachMs);
    each.processes += eachMs.length;
  }

  all(): Measured[] {
    return [...this.#rows.values()];
  }

  #at({ program, call }: RowName): Measured {
    return this.#rows.getOrInsertComputed(`${program}\t${call}`, () => ({
      program,
      call,
      ms: [],
      cpuMs: [],
      rssMiB: [],
      processes: 0,
      failed: 0,
    }));
  }
}
