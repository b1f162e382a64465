/** When what failed is tried again: after pauses that double. */
import { monotonicMs } from "../linux/deadline.ts";
import { backoff } from "./timing.ts";

interface Retry {
  failures: number;
  /** The time of the next try by the monotonic clock. */
  at: number;
}

export class Retries {
  readonly #byKey = new Map<string, Retry>();
  readonly #longestMs: number | undefined;

  /** `longestMs`: the longest pause. */
  constructor(longestMs?: number) {
    this.#longestMs = longestMs;
  }

  /** Returns the number of failures in a row. */
  later(key: string): number {
    const failures = (this.#byKey.get(key)?.failures ?? 0) + 1;
    const at =
      monotonicMs() + backoff(failures, { longestMs: this.#longestMs });
    this.#byKey.set(key, { failures, at });
    return failures;
  }

  /** Tries this one later, and forgets the others. */
  laterOnly(key: string): void {
    this.later(key);
    this.keepOnly(key);
  }

  /** Each of them is due now. */
  hurry(): void {
    for (const retry of this.#byKey.values()) retry.at = monotonicMs();
  }

  /** Forgets the others: each retry that is due costs a look at the pod. */
  keepOnly(...keys: readonly string[]): void {
    for (const key of this.#byKey.keys())
      if (!keys.includes(key)) this.#byKey.delete(key);
  }

  forget(key: string): void {
    this.#byKey.delete(key);
  }

  isWaiting(key: string): boolean {
    const retry = this.#byKey.get(key);
    return retry !== undefined && retry.at > monotonicMs();
  }

  isDue(key: string): boolean {
    return this.#byKey.has(key) && !this.isWaiting(key);
  }

  /** Milliseconds until the first one, not above 0 if it is due; Infinity without any. */
  nextMs(): number {
    const times = [...this.#byKey.values()].map(({ at }) => at);
    return Math.min(...times) - monotonicMs();
  }
}
