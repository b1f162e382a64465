import { describe, expect, test } from "bun:test";
import { plotOf } from "../../bench/plot.ts";
import { row } from "./fixtures.ts";

const rows = [
  row("floors", "empty Bun program", 5),
  row("genie", "ADD, one <GET>", 10),
  row("Multus & shim", "ADD, one <GET>", 25),
];
const plot = plotOf(rows);

describe("plotOf", () => {
  test("has a heading for each program and a line for each row", () => {
    const texts = [...plot.matchAll(/<text[^>]* x="(?:8|20)"[^>]*>([^<]*)</g)];
    expect(texts.map(([, text]) => text)).toEqual([
      "Whole processes, milliseconds",
      "floors",
      "empty Bun program",
      "genie",
      "ADD, one &lt;GET>",
      "Multus &amp; shim",
      "ADD, one &lt;GET>",
    ]);
  });

  test("tells the groups apart by colour", () => {
    const bars = [...plot.matchAll(/<rect class="bar (\w+)"/g)];
    expect(bars.map(([, kind]) => kind)).toEqual(["floor", "genie", "peer"]);
  });

  test("puts the median between the percentiles, on one scale for all", () => {
    const bars = [
      ...plot.matchAll(/<rect [^>]*x="([\d.]+)"[^>]*width="([\d.]+)"/g),
    ];
    const medians = [...plot.matchAll(/<line class="median" x1="([\d.]+)"/g)];
    const inside = bars.map(([, x, width], i) => {
      const at = Number(medians[i]?.[1]) - Number(x);
      return Number((at / Number(width)).toFixed(2));
    });
    expect(inside).toEqual([0.5, 0.5, 0.5]);
  });
});
