import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { loadPath, readTraffic } from "../../lib/attach/choice/automatic.ts";
import type { Context } from "../../lib/attach/context.ts";
import { temporaryDirectory } from "../support/delegate.ts";

/** The rates of two networks in a sample of that age, of which the second is not in it. */
function rates(ageMs: number) {
  using directory = temporaryDirectory();
  const uptimeMs = 100_000;
  const load = {
    bootId: "boot",
    uptimeMs: uptimeMs - ageMs,
    bytesPerSecond: { canal: 9 },
  };
  const text = JSON.stringify(load);
  writeFileSync(loadPath(directory.path), text, { mode: 0o600 });
  const traffic = readTraffic({
    config: { dataDir: directory.path },
    dependencies: { bootId: () => "boot", uptimeMs: () => uptimeMs },
  } as Context);
  return traffic && ["canal", "weave"].map(traffic);
}

test.each<[ageMs: number, expected: number[] | undefined]>([
  [-1, undefined],
  [0, [9, 0]],
  [60_000, [9, 0]],
  [60_001, undefined],
])("readTraffic, of a sample of %p ms ago: %p", (ageMs, expected) => {
  expect(rates(ageMs)).toEqual(expected);
});
