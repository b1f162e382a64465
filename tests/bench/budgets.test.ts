import { expect, test } from "bun:test";
import { verdictsOf } from "../../bench/budgets.ts";
import { emptyRow, shellRow } from "../../bench/rows/floors.ts";
import {
  failingAdd,
  hangMs,
  hangingAdd,
  runtimeAdd,
  shellAdd,
} from "../../bench/rows/genie.ts";
import { row } from "./fixtures.ts";

const own = (call: string, medianMs: number, peakRssMiB = 30) =>
  row("genie", call, medianMs, { peakRssMiB });

const rows = [
  row(emptyRow.program, emptyRow.call, 5),
  row(shellRow.program, shellRow.call, 1),
  own(runtimeAdd, 11.6),
  own("ADD, one GET", 10, 36.5),
  own("DEL", 5),
  own("ADD, default + 3 definitions", 15),
  own(shellAdd, 10),
  own(failingAdd, 12),
  own(hangingAdd, hangMs + 13),
  row("Multus", "DEL", 1, { peakRssMiB: 90 }),
];

test("verdictsOf: a budget that is just kept is met, a delegate's own cost is not ours", () => {
  expect(
    verdictsOf(rows).map(({ what, value, met }) => [
      what,
      Number(value.toFixed(2)),
      met,
    ]),
  ).toEqual([
    [runtimeAdd, 2.32, false],
    ["ADD, one GET", 2, true],
    ["DEL", 1, true],
    ["ADD, default + 3 definitions", 3, true],
    [`${failingAdd}: beyond itself`, 0.2, true],
    [`${hangingAdd}: beyond itself`, 0.4, false],
    ["peak RSS of all rows", 36.5, false],
  ]);
});

test("verdictsOf wants every row that has a budget", () => {
  expect(() => verdictsOf(rows.slice(0, 2))).toThrow(
    `no measurement of genie: ${runtimeAdd}`,
  );
});
