/**
 * Times of the agent: pauses and loops that end with a signal, the growth of pauses after
 * failures, watchdogs, token buckets, results that calls share.
 */
import { monotonicMs } from "../linux/deadline.ts";

/** Resolves after `ms` milliseconds, or when the signal is aborted. Never rejects. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = () => resolve();
  const timer = setTimeout(end, ms);
  signal.addEventListener("abort", end);
  await promise;
  clearTimeout(timer);
  signal.removeEventListener("abort", end);
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  signal.addEventListener("abort", () => resolve());
  return promise;
}

/** Repeats the work, with a pause after it, until the signal is aborted or the work fails. */
export async function repeat(
  ms: number,
  signal: AbortSignal,
  work: () => unknown,
): Promise<void> {
  while (!signal.aborted) {
    await work();
    await pause(ms, signal);
  }
}

/** Loops that belong together: the first that fails ends the others. Throws its error. */
export async function together(
  signal: AbortSignal,
  ...loops: readonly ((signal: AbortSignal) => Promise<void>)[]
): Promise<void> {
  const failure = new AbortController();
  const end = AbortSignal.any([signal, failure.signal]);
  try {
    await Promise.all(loops.map((loop) => loop(end)));
  } finally {
    failure.abort();
  }
}

/** Calls `expired` when it is not restarted in time. */
export class Watchdog {
  readonly #expired: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** It runs from the first {@link restart}. */
  constructor(expired: () => void) {
    this.#expired = expired;
  }

  restart(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#expired, ms);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

/**
 * `work`, whose result is shared by calls within `ms` milliseconds of its start, and by all
 * calls until it ends: slow work is not begun a second time beside itself.
 */
export function shared<T>(
  ms: number,
  work: () => Promise<T>,
): () => Promise<T> {
  let last: Promise<T> | undefined;
  let lastMs = -Infinity;
  let isRunning = false;
  return () => {
    const now = monotonicMs();
    if (last && (isRunning || now - lastMs < ms)) return last;
    lastMs = now;
    isRunning = true;
    last = work().finally(() => {
      isRunning = false;
    });
    return last;
  };
}

/** A token bucket: `size` tokens at once, then one each `tokenMs`. Times are of one clock. */
export class TokenBucket {
  readonly #size: number;
  readonly #tokenMs: number;
  /** When it is full again. */
  #fullMs = -Infinity;

  constructor(size: number, tokenMs: number) {
    this.#size = size;
    this.#tokenMs = tokenMs;
  }

  /** Of an empty bucket too: then the next token comes later. */
  take(nowMs: number): void {
    this.#fullMs = Math.max(nowMs, this.#fullMs) + this.#tokenMs;
  }

  /** Until there is a token; 0 now. */
  waitMs(nowMs: number): number {
    const fullMs = this.#fullMs - (this.#size - 1) * this.#tokenMs;
    return Math.max(0, fullMs - nowMs);
  }

  isFull(nowMs: number): boolean {
    return this.#fullMs <= nowMs;
  }
}

/** Doubled from `firstMs` to `longestMs`, half to all of it: the nodes of a cluster must not ask at once. */
export function backoff(
  failures: number,
  { firstMs = 1000, longestMs = 300_000 } = {},
): number {
  const whole = Math.min(longestMs, firstMs * 2 ** Math.max(0, failures - 1));
  return whole * (0.5 + Math.random() / 2);
}
