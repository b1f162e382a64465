/** The mutants that `make mutate` makes. */
import { describe, expect, test } from "bun:test";
import { mutantsOf } from "../scripts/mutants.ts";

/** The statement is replaced by an empty one. */
const removed = ";";

describe("mutantsOf", () => {
  test.each<[source: string, mutants: string[]]>([
    ["let x = a === b;", ["let x = a !== b;"]],
    ["let x = a < 1;", ["let x = a <= 1;", "let x = a < 2;"]],
    ["let x = !a && b;", ["let x = a && b;", "let x = !a || b;"]],
    ["let x = a ?? true;", ["let x = a && true;", "let x = a ?? false;"]],
    ["let x = a + 10_000;", ["let x = a - 10_000;", "let x = a + 10001;"]],
  ])("%s, one for each operator and constant", (source, mutants) => {
    expect(mutantsOf(source).map((mutant) => mutant.source)).toEqual(mutants);
  });

  test.each<[source: string, statements: string[]]>([
    ["await f();", ["await f();"]],
    ["for (const a of b)\n  f();", ["for (const a of b) f();"]],
    [
      "if (a) {\n  f(\n    b,\n  );\n\n  g();\n} else {\n  h();\n}\ni();",
      [
        "if (a) { f( b, ); g(); } else { h(); }",
        "f( b, );",
        "g();",
        "h();",
        "i();",
      ],
    ],
    [
      "try {\n  a = f();\n} catch {\n  return b;\n}",
      ["try { a = f(); } catch { return b; }", "a = f();", "return b;"],
    ],
  ])("%j, without each statement", (source, statements) => {
    const body = source.replace(/^(?=.)/gm, "  ");
    expect(
      mutantsOf(`async function a() {\n${body}\n}`)
        .filter(({ to }) => to === removed)
        .map(({ from }) => from),
    ).toEqual(statements);
  });

  test.each([
    "// a === b",
    "/* 1 < 2 */",
    'let x = "a === 1";',
    "let x = `${a === 1}`;",
    "let x = /a{1}[/]&&/;",
    "type A = Array<1 | true>;",
    "let x = () => a;",
    "export let a: 1;",
    'import "a";',
    "function a() {}",
    "class A {\n  readonly a = b;\n\n  c() {}\n}",
  ])("%s, nothing to change", (source) => {
    expect(mutantsOf(source)).toEqual([]);
  });

  test("line, 1-based", () => {
    expect(mutantsOf("let x = 1;\n\nlet y = a > b;\n")).toMatchObject([
      { line: 1, from: "1", to: "2" },
      { line: 3, from: ">", to: ">=" },
    ]);
  });
});
