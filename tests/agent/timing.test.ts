import { describe, expect, test } from "bun:test";
import {
  TokenBucket,
  Watchdog,
  backoff,
  pause,
  shared,
  together,
} from "../../lib/agent/timing.ts";

test("shared, work that lasts longer than its result is shared: one at a time, a failed one too", async () => {
  const begun: PromiseWithResolvers<string>[] = [];
  const call = shared(0, () => {
    const work = Promise.withResolvers<string>();
    begun.push(work);
    return work.promise;
  });
  const first = [call(), call()];
  begun[0]?.resolve("one");
  expect(await Promise.all(first)).toEqual(["one", "one"]);
  const second = [call(), call()];
  begun[1]?.reject(new Error("failed"));
  const [outcome] = await Promise.allSettled(second);
  expect(outcome?.status).toBe("rejected");
  const third = call();
  begun[2]?.resolve("three");
  expect([await third, begun.length]).toEqual(["three", 3]);
});

describe("pauses", () => {
  test("pause, ends with the signal", async () => {
    const controller = new AbortController();
    const pausing = pause(60_000, controller.signal);
    controller.abort();
    await pausing;
    await pause(60_000, controller.signal);
  });

  test.each([
    [1, 500, 1000],
    [2, 1000, 2000],
    [5, 8000, 16_000],
    [20, 150_000, 300_000],
  ])(
    "backoff, %p failures: half to all of the doubled pause",
    (n, from, to) => {
      for (let i = 0; i < 20; i++) {
        const ms = backoff(n);
        expect(ms).toBeGreaterThanOrEqual(from);
        expect(ms).toBeLessThanOrEqual(to);
      }
    },
  );
});

describe("together", () => {
  test("one loop fails: its error, and the others end", async () => {
    const others: AbortSignal[] = [];
    const working = together(
      new AbortController().signal,
      (signal) => {
        others.push(signal);
        return pause(60_000, signal);
      },
      () => Promise.reject(new Error("broken")),
    );
    expect(await working.catch(String)).toBe("Error: broken");
    expect(others.map(({ aborted }) => aborted)).toEqual([true]);
  });

  test("the signal is aborted: all end", async () => {
    const controller = new AbortController();
    const loop = (signal: AbortSignal) => pause(60_000, signal);
    const working = together(controller.signal, loop, loop);
    controller.abort();
    await working;
  });
});

test("TokenBucket: so many at once, then one each token time; of an empty one, later", () => {
  const bucket = new TokenBucket(2, 10);
  expect([bucket.isFull(100), bucket.waitMs(100)]).toEqual([true, 0]);
  bucket.take(100);
  expect([bucket.isFull(100), bucket.waitMs(100)]).toEqual([false, 0]);
  bucket.take(100);
  expect([bucket.waitMs(100), bucket.waitMs(109)]).toEqual([10, 1]);
  expect([bucket.waitMs(110), bucket.isFull(119)]).toEqual([0, false]);
  expect(bucket.isFull(120)).toBe(true);
  bucket.take(100);
  expect(bucket.waitMs(100)).toBe(20);
  // No more than its size is saved up.
  for (let i = 0; i < 2; i++) bucket.take(1000);
  expect(bucket.waitMs(1000)).toBe(10);
});

test("Watchdog: calls when it is not restarted in time, and not after stop", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const calls: string[] = [];
  const stopped = new Watchdog(() => calls.push("stopped"));
  const other = new Watchdog(() => {
    calls.push("expired");
    resolve();
  });
  stopped.restart(1);
  other.restart(60_000);
  other.restart(5);
  stopped.stop();
  await promise;
  expect(calls).toEqual(["expired"]);
});
