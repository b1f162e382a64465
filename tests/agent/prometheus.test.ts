import { describe, expect, test } from "bun:test";
import {
  type Family,
  Metrics,
  buckets,
  areSamples,
} from "../../lib/agent/metrics/prometheus.ts";

const counter: Family = {
  name: "c_total",
  help: "Counted.",
  type: "counter",
  labels: ["a", "b"],
};
const gauge: Family = { name: "g", help: "Now.", type: "gauge", labels: [] };
const seconds: Family = {
  name: "s_seconds",
  help: "Lasted.",
  type: "histogram",
  labels: ["verb"],
};

describe("Metrics", () => {
  test("text, counters and gauges: sorted, escaped, heads without samples", () => {
    const metrics = new Metrics();
    metrics.add(counter, ["2", 'q"\\\n'], 1);
    metrics.add(counter, ["1", "x"], 2);
    metrics.add(counter, ["1", "x"]);
    metrics.set(gauge, [], 7);
    expect(metrics.text([counter, gauge, seconds])).toBe(
      [
        "# HELP c_total Counted.",
        "# TYPE c_total counter",
        'c_total{a="1",b="x"} 3',
        String.raw`c_total{a="2",b="q\"\\\n"} 1`,
        "# HELP g Now.",
        "# TYPE g gauge",
        "g 7",
        "# HELP s_seconds Lasted.",
        "# TYPE s_seconds histogram",
        "",
      ].join("\n"),
    );
  });

  test("text, histogram: cumulative buckets, sum and count", () => {
    const metrics = new Metrics();
    for (const value of [0.005, 0.006, 2, 1000])
      metrics.observe(seconds, ["ADD"], value);
    const lines = metrics.text([seconds]).trimEnd().split("\n").slice(2);
    expect(lines).toHaveLength(17);
    expect([...buckets].toSorted((a, b) => a - b)).toEqual([...buckets]);
    expect(
      lines.filter((line) => /le="(?:0.005|0.01|1|2.5|120|\+Inf)"/.test(line)),
    ).toEqual([
      's_seconds_bucket{verb="ADD",le="0.005"} 1',
      's_seconds_bucket{verb="ADD",le="0.01"} 2',
      's_seconds_bucket{verb="ADD",le="1"} 2',
      's_seconds_bucket{verb="ADD",le="2.5"} 3',
      's_seconds_bucket{verb="ADD",le="120"} 3',
      's_seconds_bucket{verb="ADD",le="+Inf"} 4',
    ]);
    expect(lines.slice(-2)).toEqual([
      's_seconds_sum{verb="ADD"} 1002.011',
      's_seconds_count{verb="ADD"} 4',
    ]);
  });

  test("values, taken up by another instance", () => {
    const metrics = new Metrics();
    metrics.add(counter, ["1", "x"]);
    metrics.observe(seconds, ["DEL"], 1);
    const again = new Metrics(structuredClone(metrics.values));
    again.add(counter, ["1", "x"]);
    expect(again.text([counter])).toContain('c_total{a="1",b="x"} 2');
    expect(again.text([seconds])).toBe(metrics.text([seconds]));
    // The file has them as JSON, which knows no holes.
    expect(JSON.stringify(metrics.values)).not.toContain("null");
    for (const family of [counter, seconds])
      expect(areSamples(family, metrics.values[family.name])).toBe(true);
  });
});
