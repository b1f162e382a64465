import { describe, expect, test } from "bun:test";
import { reportOf } from "../../bench/report.ts";
import { emptyRow } from "../../bench/rows/floors.ts";
import { median, quantile } from "../../bench/stats.ts";
import { measured } from "./fixtures.ts";

const empty = measured(emptyRow.program, emptyRow.call, [6, 4, 5]);

describe("quantile", () => {
  test.each([
    { values: [3], part: 0.5, expected: 3 },
    { values: [4, 1, 3, 2], part: 0.5, expected: 2.5 },
    { values: [5, 1, 3], part: 0.5, expected: 3 },
    { values: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], part: 0.95, expected: 10 },
    { values: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], part: 0.05, expected: 1 },
  ])("$part of $values", ({ values, part, expected }) => {
    expect(quantile(values, part)).toBe(expected);
  });

  test("of nothing is no number", () => {
    expect(median([])).toBeNaN();
  });
});

describe("reportOf", () => {
  test("relates every row to the empty program", () => {
    const ms = [11, 9, 10, 30];
    const full = measured("genie", "ADD", ms, {
      cpuMs: [7, 8, 9, 9],
      rssMiB: [33.14, 35.26],
      apiCalls: 1,
      calls: { systemCalls: 600, bytesRead: 2048, programs: 2 },
      failed: 1,
    });
    expect(reportOf([empty, full])[1]).toEqual({
      program: "genie",
      call: "ADD",
      count: 4,
      processes: 4,
      medianMs: 10.5,
      minMs: 9,
      p5Ms: 9,
      p95Ms: 30,
      ratio: 2.1,
      cpuMs: 8.5,
      peakRssMiB: 35.3,
      apiCalls: 1,
      systemCalls: 600,
      bytesRead: 2048,
      failed: 1,
    });
  });

  test("leaves out missing measurements", () => {
    expect(reportOf([empty])).toEqual([
      {
        ...emptyRow,
        count: 3,
        processes: 3,
        medianMs: 5,
        minMs: 4,
        p5Ms: 4,
        p95Ms: 6,
        ratio: 1,
        failed: 0,
      },
    ]);
  });

  test("wants the empty program", () => {
    expect(() => reportOf([measured("genie", "ADD", [1])])).toThrow(
      "no measurement of the empty Bun program",
    );
  });
});
