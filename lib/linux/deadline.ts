/**
 * Time limits on the monotonic clock: a phase has an end, each step in it takes
 * at most its own share (state.md "Time"). Pure but for the clock it is given.
 */

/** Milliseconds that never run backwards. */
export type Clock = () => number;

/** Since this process was started. Not `performance.now`, for which more is loaded. */
export function monotonicMs(): number {
  return Bun.nanoseconds() / 1e6;
}

/** The next whole number of a finite number of milliseconds. Not by `Math`: to make that object costs a pod 0.06 ms. */
export function ceilMs(ms: number): number {
  const part = ms % 1;
  return part > 0 ? ms - part + 1 : ms - part;
}

export class Deadline {
  readonly #end: number;
  readonly #clock: Clock;

  /** Ends `ms` milliseconds from now. */
  constructor(ms: number, clock: Clock = monotonicMs) {
    this.#clock = clock;
    this.#end = clock() + ms;
  }

  /** Milliseconds left, never negative. */
  get remaining(): number {
    const left = this.#end - this.#clock();
    return left > 0 ? left : 0;
  }

  get expired(): boolean {
    return this.remaining === 0;
  }

  /** The same end, or `ms` milliseconds from now when that is sooner. */
  atMost(ms: number): Deadline {
    const left = this.remaining;
    return new Deadline(ms < left ? ms : left, this.#clock);
  }

  /**
   * What remains divided by the steps that are left, so that one that hangs starves
   * no other; but at least `leastMs` milliseconds while they last, so that many steps
   * are not all too short.
   */
  share(steps: number, leastMs = 0): Deadline {
    const equal = this.remaining / (steps > 1 ? steps : 1);
    return this.atMost(equal > leastMs ? equal : leastMs);
  }
}
