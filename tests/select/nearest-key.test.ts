/** configuration.md, selection.md §6: an unknown key is told with the nearest known one. */
import { describe, expect, test } from "bun:test";
import { configKeys } from "../../lib/select/config-schema.ts";
import { describeUnknownKeys, nearest } from "../../lib/select/nearest-key.ts";

describe("nearest", () => {
  test.each<[typed: string, expected: string | undefined]>([
    ["install", "install"],
    ["uninstal", "uninstall"],
    ["docotr", "doctor"],
    ["expl", "explain"],
    ["li", "list"],
    // At most one change in a word of up to five letters.
    ["lsit", "list"],
    ["ilst", "list"],
    ["lits", "list"],
    ["lst", "list"],
    ["list1", "list"],
    ["1list", "list"],
    ["l1st", "list"],
    ["sil", undefined],
    ["11st", undefined],
    ["l1s1t", undefined],
    // Two of six.
    ["do1t0r", "doctor"],
    ["d01t0r", undefined],
    ["", undefined],
    ["x", undefined],
    ["kubectl", undefined],
  ])("of commands, %p, %p", (typed, expected) => {
    expect(
      nearest(typed, ["install", "uninstall", "doctor", "explain", "list"]),
    ).toBe(expected);
  });

  test.each<[typed: string, expected: string | undefined]>([
    ["alowedPlugins", "allowedPlugins"],
    ["namespaceIsolaton", "namespaceIsolation"],
    ["AllowedPlugins", "allowedPlugins"],
    ["kubernetes.kubeconfg", "kubernetes.kubeconfig"],
    ["vendorKey", undefined],
    [`${"k".repeat(60)}able`, "k".repeat(64)],
    ["k".repeat(65), undefined],
  ])("of configuration keys, %p, %p", (typed, expected) => {
    expect(nearest(typed, [...configKeys, "k".repeat(64)])).toBe(expected);
  });
});

test("describeUnknownKeys, one line for all, at most 8 KiB", () => {
  expect(describeUnknownKeys(["strct", "a\nb"], configKeys)).toBe(
    '"strct" (did you mean "strict"?), "a\\nb"',
  );
  const many = Array.from({ length: 5000 }, (_, i) => `key${i}`);
  const text = describeUnknownKeys(many, configKeys);
  expect(text.length).toBeLessThanOrEqual(8192);
  expect(text.endsWith(", and more")).toBe(true);
});
