/** docs/monitoring: every metric and label that the dashboard and the alerts name exists. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { families } from "../../lib/agent/metrics/metrics.ts";

const docs = join(import.meta.dir, "../../docs");
const text = (path: string) => readFileSync(join(docs, path), "utf8");

interface Rule {
  alert: string;
  expr: string;
  for: string;
  labels: { severity: string };
  annotations: { summary: string };
}

const { groups } = Bun.YAML.parse(text("monitoring/alerts.yaml")) as {
  groups: { name: string; rules: Rule[] }[];
};
const rules = groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(text("monitoring/dashboard.json")) as {
  panels: {
    id: number;
    title: string;
    targets: { expr: string; legendFormat: string }[];
  }[];
};
const targets = dashboard.panels.flatMap((panel) => panel.targets);
const expressions = [...rules, ...targets].map(({ expr }) => expr);

/** Name → labels, as Prometheus stores them. */
const series = new Map<string, string[]>(
  families.flatMap(({ name, labels, type }): [string, string[]][] =>
    type === "histogram"
      ? [
          [`${name}_bucket`, [...labels, "le"]],
          [`${name}_sum`, [...labels]],
          [`${name}_count`, [...labels]],
        ]
      : [[name, [...labels]]],
  ),
);

/** Labels that Prometheus adds. */
const added = ["instance", "job"];

describe("docs/monitoring", () => {
  test("every metric that is named exists, and every metric is named", () => {
    const named = new Set(
      expressions.flatMap((expr) => expr.match(/\bgenie_\w+/g) ?? []),
    );
    expect([...named].filter((name) => !series.has(name))).toEqual([]);
    const unseen = families.filter(
      ({ name }) => ![...named].some((one) => one.startsWith(name)),
    );
    expect(unseen).toEqual([]);
  });

  test.each(expressions)(
    "%s: its labels are those of its metric, its brackets are balanced",
    (expr) => {
      const [name = ""] = /\bgenie_\w+/.exec(expr) ?? [];
      const known = new Set([...added, ...(series.get(name) ?? [])]);
      const selectors = [...expr.matchAll(/\{([^}]*)\}/g)].flatMap(
        ([, inner = ""]) =>
          [...inner.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(
            ([, label]) => label,
          ),
      );
      const grouped = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(
        ([, inner = ""]) => inner.split(/,\s*/),
      );
      expect(
        [...selectors, ...grouped].filter((label) => !known.has(label ?? "")),
      ).toEqual([]);
      for (const [open, close] of [
        ["(", ")"],
        ["{", "}"],
        ["[", "]"],
      ] as const)
        expect(expr.split(open).length).toBe(expr.split(close).length);
    },
  );

  test.each(rules)(
    "alert $alert: severity, duration, summary, and a heading in docs/operations.md",
    (rule) => {
      expect(rule.alert).toMatch(/^Genie[A-Z]\w+$/);
      expect(rule.for).toMatch(/^\d+[mh]$/);
      expect(["info", "warning", "critical"]).toContain(rule.labels.severity);
      expect(rule.annotations.summary.length).toBeGreaterThan(10);
      const labels = [
        ...rule.annotations.summary.matchAll(/\$labels\.(\w+)/g),
      ].map(([, label = ""]) => label);
      const [name = ""] = /\bgenie_\w+/.exec(rule.expr) ?? [];
      const known = new Set([...added, ...(series.get(name) ?? [])]);
      expect(labels.filter((label) => !known.has(label))).toEqual([]);
      expect(text("operations.md")).toContain(`\n### ${rule.alert}\n`);
    },
  );

  test("dashboard: panels with distinct numbers and titles, each with a query", () => {
    const { panels } = dashboard;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length);
    expect(panels.filter((panel) => panel.targets.length === 0)).toEqual([]);
  });
});
