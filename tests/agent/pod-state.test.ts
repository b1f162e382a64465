import { describe, expect, test } from "bun:test";
import { Retries } from "../../lib/agent/retries.ts";
import { PodState } from "../../lib/agent/pods/pod-state.ts";
import { monotonicMs } from "../../lib/linux/deadline.ts";

describe("PodState", () => {
  test("beginsLook: for new input, and when a retry is due", () => {
    const state = new PodState();
    expect(state.beginsLook("a")).toBe(true);
    // It was not compared: its ADD was at work.
    expect(state.beginsLook("a")).toBe(true);
    state.hasCompared("a");
    expect(state.beginsLook("a")).toBe(false);
    expect(state.beginsLook("b")).toBe(true);
    state.retries.later("step");
    expect(state.beginsLook("a")).toBe(false);
    state.retries.hurry();
    expect(state.beginsLook("a")).toBe(true);
  });

  test("compareAgain: the same input is new, and failed steps are due", () => {
    const state = new PodState();
    state.hasCompared("a");
    state.retries.later("step");
    state.compareAgain();
    expect(state.beginsLook("a")).toBe(true);
    expect(state.retries.isDue("step")).toBe(true);
  });

  test("beginsLook, the bucket is empty: a look when a token is there", () => {
    const state = new PodState();
    state.dueAt = Infinity;
    let looks = 0;
    while (state.beginsLook(`${looks}`)) looks++;
    expect(looks).toBe(64);
    const waitMs = state.dueAt - monotonicMs();
    expect(waitMs).toBeGreaterThan(0);
    expect(waitMs).toBeLessThanOrEqual(2000);
  });

  test("dueAfter: the earliest time counts", () => {
    const state = new PodState();
    state.dueAt = Infinity;
    state.dueAfter(5000);
    state.dueAfter(60_000);
    expect(state.dueAt - monotonicMs()).toBeLessThanOrEqual(5000);
  });

  test("isNews: once for an input and the next one, again after that", () => {
    const state = new PodState();
    state.hasCompared("a");
    expect(state.isNews("Reason", "text")).toBe(true);
    expect(state.isNews("Reason", "text")).toBe(false);
    expect(state.isNews("Reason", "other text")).toBe(true);
    state.hasCompared("b");
    expect(state.isNews("Reason", "text")).toBe(false);
    state.hasCompared("c");
    state.hasCompared("d");
    expect(state.isNews("Reason", "text")).toBe(true);
  });
});

describe("Retries", () => {
  test("a failed step waits half to all of its pause, which doubles; others are due", () => {
    const retries = new Retries();
    expect(retries.nextMs()).toBe(Infinity);
    expect([retries.isWaiting("a"), retries.isDue("a")]).toEqual([
      false,
      false,
    ]);
    for (const longestMs of [1000, 2000, 4000]) {
      retries.later("a");
      expect(retries.nextMs()).toBeGreaterThan(longestMs / 2 - 100);
      expect(retries.nextMs()).toBeLessThanOrEqual(longestMs);
    }
    expect([retries.isWaiting("a"), retries.isDue("a")]).toEqual([true, false]);
    retries.hurry();
    expect([retries.isWaiting("a"), retries.isDue("a")]).toEqual([false, true]);
    retries.later("b");
    expect(retries.nextMs()).toBeLessThanOrEqual(0);
    retries.forget("a");
    expect([retries.isDue("a"), retries.isWaiting("b")]).toEqual([false, true]);
  });

  test("later: the number of failures; no pause is longer than the longest", () => {
    const retries = new Retries(10);
    expect([retries.later("a"), retries.later("a")]).toEqual([1, 2]);
    expect(retries.nextMs()).toBeLessThanOrEqual(10);
  });

  test("laterOnly: the others are forgotten", () => {
    const retries = new Retries();
    retries.later("a");
    retries.laterOnly("b");
    expect([retries.isWaiting("a"), retries.isWaiting("b")]).toEqual([
      false,
      true,
    ]);
  });
});
