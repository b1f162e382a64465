/**
 * Time limits on the monotonic clock: a phase has an end, and each step has at most
 * its share (state.md "Time"). Pure but for the clock parameter.
 */

/** Monotonic milliseconds. */
export type Clock = () => number;

/** Since the start of this process. `performance.now` would load more. */
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
    const left = this.#end - this.#clock();
    return left > 0 ? left : 0;
  }

  get expired(): boolean {
    return this.remaining === 0;
  }

  /** The same end, or `ms` milliseconds from now if that is earlier. */
  atMost(ms: number): Deadline {
    const left = this.remaining;
    return new Deadline(ms < left ? ms : left, this.#clock);
  }

  /**
   * The remaining time divided by the remaining steps, so that a step that hangs
   * leaves time for the others; at least `leastMs` milliseconds while time remains.
   */
  share(steps: number, leastMs = 0): Deadline {
    const equal = this.remaining / (steps > 1 ? steps : 1);
    return this.atMost(equal > leastMs ? equal : leastMs);
  }
}
