/** state.md "Time": limits on a clock that the test moves. */
import { expect, test } from "bun:test";
import { Deadline } from "../../lib/linux/deadline.ts";

/** A clock that stands still until it is moved. */
function clock() {
  let now = 1000;
  return { read: () => now, pass: (ms: number) => void (now += ms) };
}

test("Deadline, counts down and not below zero", () => {
  const { read, pass } = clock();
  const deadline = new Deadline(100, read);
  const seen = [0, 60, 40, 1000].map((ms) => {
    pass(ms);
    return [deadline.remaining, deadline.expired];
  });
  expect(seen).toEqual([
    [100, false],
    [40, false],
    [0, true],
    [0, true],
  ]);
});

test.each<[string, number, number]>([
  ["shortens", 30, 30],
  ["does not lengthen", 500, 100],
  ["allows nothing", 0, 0],
])("Deadline.atMost, %s", (_, ms, expected) => {
  const { read } = clock();
  expect(new Deadline(100, read).atMost(ms).remaining).toBe(expected);
});

test("Deadline.atMost, counts from the moment it is asked", () => {
  const { read, pass } = clock();
  const phase = new Deadline(100, read);
  pass(50);
  const step = phase.atMost(30);
  expect(step.remaining).toBe(30);
  pass(30);
  expect([step.expired, phase.remaining]).toEqual([true, 20]);
});

test("Deadline.share, gives each of the steps what is left by then", () => {
  const { read, pass } = clock();
  const phase = new Deadline(90, read);
  const shares = [3, 2, 1].map((steps, i) => {
    const share = phase.share(steps);
    const { remaining } = share;
    // The first uses up its share, the second is quick.
    pass(i === 0 ? remaining : 10);
    return remaining;
  });
  expect(shares).toEqual([30, 30, 50]);
});

test("Deadline.share, gives at least what is asked for, while it lasts", () => {
  const { read, pass } = clock();
  const phase = new Deadline(120, read);
  const shares = [4, 3, 2, 1].map((steps) => {
    const { remaining } = phase.share(steps, 50);
    pass(remaining);
    return remaining;
  });
  expect(shares).toEqual([50, 50, 20, 0]);
  expect(new Deadline(120, read).share(2, 50).remaining).toBe(60);
});

test("Deadline.share, of no steps is everything", () => {
  const { read } = clock();
  expect(new Deadline(90, read).share(0).remaining).toBe(90);
});

test("Deadline, is on the monotonic clock by default", () => {
  const before = performance.now();
  const { remaining } = new Deadline(60_000);
  const spent = performance.now() - before;
  expect(60_000 - remaining).toBeWithin(0, spent + 0.001);
});
