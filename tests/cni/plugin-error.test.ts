/** state.md "ADD", cni-runtime.md F-5: the error at the end of what a plugin printed. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { failure } from "../../lib/cni/plugin-error.ts";

const printed = (stdout: string) =>
  failure({ exitCode: 1, signal: null, stdout, stderr: "" });

describe("failure", () => {
  test("finds the plugin's error behind anything, whatever is in it", () => {
    const said = fc.record({
      code: fc.integer({ min: 1, max: 999 }),
      msg: fc.string({ minLength: 1, unit: "binary" }),
      more: fc.jsonValue({ maxDepth: 3 }),
    });
    const noise = fc.oneof(
      fc.string({ unit: fc.constantFrom(...'{}[]\\" ,:x\n'.split("")) }),
      fc.json(),
      fc.string(),
    );
    const layout = fc.constantFrom(undefined, 2, "\t");
    fc.assert(
      fc.property(noise, said, layout, (before, error, indent) => {
        const text = `x${before}\n${JSON.stringify(error, undefined, indent)}\n`;
        const { code, message } = printed(text);
        expect([code, message]).toEqual([
          error.code,
          JSON.parse(JSON.stringify(error.msg)) as string,
        ]);
      }),
    );
  });

  test.each(['{\\"', '{\\\\"', "}\\", '"', "\\\\"])(
    "finds an error whose message is %j",
    (msg) => {
      const text = `noise {${JSON.stringify({ code: 7, msg })}\n`;
      expect(printed(text)).toMatchObject({ code: 7, message: msg });
    },
  );

  test.each([
    ["quotes", (n: number) => `${'"'.repeat(n)}}`],
    ["backslashes", (n: number) => `"${"\\".repeat(n)}"}`],
    ["escaped quotes", (n: number) => `x "${'\\"'.repeat(n)}"}`],
    ["closing brackets", (n: number) => "}".repeat(n)],
    ["objects", (n: number) => "{}".repeat(n)],
  ])("needs time in proportion to the number of %s", (_, textOf) => {
    const text = textOf(1_000_000);
    const start = performance.now();
    expect(printed(text).code).toBe(999);
    // 0.3 s; quadratic time would be minutes.
    expect(performance.now() - start).toBeLessThan(4000);
  });
});
