/** The mutants that `make mutate` makes. */
import { describe, expect, test } from "bun:test";
import { mutantsOf } from "../scripts/mutants.ts";

describe("mutantsOf", () => {
  test.each<[source: string, mutants: string[]]>([
    ["f(a === b);", ["f(a !== b);"]],
    ["f(a < 1);", ["f(a <= 1);", "f(a < 2);"]],
    ["if (!a && b) f();", ["if (a && b) f();", "if (!a || b) f();"]],
    ["f(a ?? true);", ["f(a && true);", "f(a ?? false);"]],
    ["f(a + 10_000);", ["f(a - 10_000);", "f(a + 10001);"]],
  ])("%s, one for each operator and constant", (source, mutants) => {
    expect(mutantsOf(source).map((mutant) => mutant.source)).toEqual(mutants);
  });

  test.each([
    "// a === b",
    "/* 1 < 2 */",
    'f("a === 1");',
    "f(`${a === 1}`);",
    "f(/a{1}[/]&&/);",
    "type A = Array<1 | true>;",
    "f(() => a);",
    "export let a: 1;",
  ])("%s, nothing to change", (source) => {
    expect(mutantsOf(source)).toEqual([]);
  });

  test("line, 1-based", () => {
    expect(mutantsOf("f();\n\nf(a > b);\n")).toMatchObject([
      { line: 3, from: ">", to: ">=" },
    ]);
  });
});
