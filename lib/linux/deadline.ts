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
    return Math.max(0, this.#end - this.#clock());
  }

  get expired(): boolean {
    return this.remaining === 0;
  }

  /** The same end, or `ms` milliseconds from now when that is sooner. */
  atMost(ms: number): Deadline {
    return new Deadline(Math.min(ms, this.remaining), this.#clock);
  }

  /**
   * What remains divided by the steps that are left, so that one that hangs starves
   * no other; but at least `leastMs` milliseconds while they last, so that many steps
   * are not all too short.
   */
  share(steps: number, leastMs = 0): Deadline {
    const equal = this.remaining / Math.max(1, steps);
    return this.atMost(Math.max(equal, leastMs));
  }
}
