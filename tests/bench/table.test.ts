import { expect, test } from "bun:test";
import { tableOf, verdictTableOf } from "../../bench/table.ts";
import { row } from "./fixtures.ts";

test("tableOf: a block for each program, a dash for a missing measurement", () => {
  const full = row("genie", "ADD", 10, {
    cpuMs: 8,
    peakRssMiB: 33.25,
    apiCalls: 1,
    systemCalls: 600,
    bytesRead: 2048,
  });
  const burst = row("genie", "16 ADDs", 150, { failed: 2 });
  const table = tableOf([row("floors", "nothing", 5), full, burst]);
  expect(table.split("\n")).toEqual([
    "            n  median    min    p95  ratio   CPU   RSS  API  syscalls  read",
    "floors",
    "  nothing  40    5.00   2.50  10.00   1.00     -     -    -         -     -",
    "genie",
    "  ADD      40   10.00   5.00  20.00   2.00  8.00  33.3    1       600   2.0",
    "  16 ADDs  40   150.0  75.00  300.0  30.00     -     -    -         -     -  2 of 40 failed",
  ]);
});

test("verdictTableOf: name, value, bound", () => {
  const table = verdictTableOf([
    { what: "DEL", value: 1.5, allowed: 1.7, unit: "× empty", met: true },
    { what: "RSS", value: 40, allowed: 36, unit: "MiB", met: false },
  ]);
  expect(table.split("\n")).toEqual([
    "  DEL  1.50 × empty  at most 1.70  met",
    "  RSS      40.0 MiB  at most 36.0  MISSED",
  ]);
});
