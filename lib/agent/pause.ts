/** Pauses that end with a signal, and their growth after failures. */

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

/** `work`, whose result is shared by calls within `ms` milliseconds of its start. */
export function shared<T>(
  ms: number,
  work: () => Promise<T>,
): () => Promise<T> {
  let last: Promise<T> | undefined;
  let lastMs = -Infinity;
  return () => {
    const now = monotonicMs();
    if (last && now - lastMs < ms) return last;
    lastMs = now;
    return (last = work());
  };
}

/** Doubled from `firstMs` to `longestMs`, half to all of it: the nodes of a cluster must not ask at once. */
export function backoff(
  failures: number,
  { firstMs = 1000, longestMs = 300_000 } = {},
): number {
  const whole = Math.min(longestMs, firstMs * 2 ** Math.max(0, failures - 1));
  return whole * (0.5 + Math.random() / 2);
}
