/**
 * Random numbers from a seed (sfc32): the same seed, the same torture. Not for
 * secrets.
 */
export class Random {
  readonly #state: Uint32Array;

  constructor(seed: number) {
    this.#state = Uint32Array.of(
      seed >>> 0,
      Math.floor(seed / 2 ** 32),
      0x9e3779b9,
      1,
    );
    for (let i = 0; i < 12; i++) this.#next();
  }

  /** From 0 to below 1. */
  fraction(): number {
    return this.#next() / 2 ** 32;
  }

  /** From `low` to `high`, both included. */
  int(low: number, high: number): number {
    return low + Math.floor(this.fraction() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  /** Throws Error for an empty list. */
  pick<T>(list: readonly T[]): T {
    const picked = list[this.int(0, list.length - 1)];
    if (picked === undefined) throw new Error("nothing to pick from");
    return picked;
  }

  /** So many different elements, in the order of the list. */
  some<T>(list: readonly T[], count: number): T[] {
    const chosen = new Set<number>();
    while (chosen.size < Math.min(count, list.length))
      chosen.add(this.int(0, list.length - 1));
    return list.filter((_, i) => chosen.has(i));
  }

  /** An independent generator: its use changes nothing here. */
  fork(): Random {
    return new Random(this.#next() * 2 ** 21 + (this.#next() >>> 11));
  }

  #next(): number {
    const [a = 0, b = 0, c = 0, counter = 0] = this.#state;
    const sum = (a + b + counter) | 0;
    this.#state.set([
      b ^ (b >>> 9),
      (c + (c << 3)) | 0,
      ((c << 21) | (c >>> 11)) + sum,
      counter + 1,
    ]);
    return sum >>> 0;
  }
}
