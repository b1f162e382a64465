import { describe, expect, test } from "bun:test";
import { CniError, Code } from "../../lib/cni/error.ts";
import { errnoOf, messageOf } from "../../lib/linux/errno.ts";
import { quote, quoteOutput } from "../../lib/linux/text.ts";

describe("CniError", () => {
  test("toObject is the spec's, with the version, without empty details", () => {
    const error = new CniError(Code.invalidNetworkConfig, "no delegates", {
      details: "",
    });
    expect(JSON.stringify(error.toObject("1.0.0"))).toBe(
      '{"cniVersion":"1.0.0","code":7,"msg":"no delegates"}',
    );
  });

  const bytes = (text = "") => Buffer.byteLength(text);

  test("toObject ends at 8 KiB, in the middle of what is too long", () => {
    const long = `first ${"é".repeat(100_000)} last`;
    const { msg, details } = new CniError(7, long).toObject("1.0.0");
    expect(msg).toMatch(/^first é+…é+ last$/);
    expect([bytes(msg) <= 8192, bytes(msg) > 8180, details]).toEqual([
      true,
      true,
      undefined,
    ]);
  });

  test.each<[number, number]>([
    [5, 100_000],
    [100_000, 5],
    [100_000, 100_000],
    [8000, 400],
    [4096, 4096],
    [7168, 1024],
  ])("toObject of %d and %d bytes: together 8 KiB", (message, detail) => {
    const error = new CniError(7, "m".repeat(message), {
      details: "d".repeat(detail),
    });
    const { msg, details } = error.toObject("1.0.0");
    const total = bytes(msg) + bytes(details);
    expect(total).toBeWithin(5, 8193);
    if (message + detail > 8192) expect(total).toBeGreaterThan(8180);
    else expect([msg, details]).toEqual([error.message, error.details]);
    if (detail <= 1024) expect(details).toBe("d".repeat(detail));
  });

  test("prefixed keeps code, details and cause (P-ERR-5)", () => {
    const cause = new Error("refused");
    const error = new CniError(11, "busy", { details: "d", cause }).prefixed(
      "[a/b:c]",
    );
    expect([error.toObject("1.1.0"), error.cause]).toEqual([
      { cniVersion: "1.1.0", code: 11, msg: "[a/b:c] busy", details: "d" },
      cause,
    ]);
  });

  test("from gives a CniError itself", () => {
    const error = new CniError(4, "x");
    expect(CniError.from(error)).toBe(error);
  });

  test.each([
    ["an Error", new TypeError("x is not a function"), "x is not a function"],
    ["a text", "text", "text"],
    ["nothing", undefined, "undefined"],
  ])("from makes %s code 999", (_name, thrown, message) => {
    expect(CniError.from(thrown)).toMatchObject({
      code: 999,
      message,
      cause: thrown,
    });
  });
});

describe("errnoOf and messageOf", () => {
  test.each([
    [
      "a system error",
      Object.assign(new Error("no such file"), { code: "ENOENT" }),
      "ENOENT",
      "no such file",
    ],
    [
      "a CniError, whose code is a number",
      new CniError(7, "typed"),
      undefined,
      "typed",
    ],
    ["an error", new Error("plain"), undefined, "plain"],
    ["an object", { code: "ENOENT" }, undefined, "[object Object]"],
    ["null", null, undefined, "null"],
  ])("of %s", (_name, thrown, errno, message) => {
    expect([errnoOf(thrown), messageOf(thrown)]).toEqual([errno, message]);
  });
});

describe("quoteOutput", () => {
  test.each([
    [" a\n", '"a"'],
    ["x".repeat(2048), `"${"x".repeat(2048)}"`],
    [`a${"x".repeat(4000)}z`, `"a${"x".repeat(1021)}…${"x".repeat(1021)}z"`],
    [`a${"é".repeat(4000)}z`, `"a${"é".repeat(510)}…${"é".repeat(510)}z"`],
  ])("case %#", (text, quoted) => {
    expect(quoteOutput(text)).toBe(quoted);
  });
});

describe("quote", () => {
  test.each([
    ["bridge", '"bridge"'],
    ['a"b\\', '"a\\"b\\\\"'],
    ["a\nb\u0000", '"a\\nb\\u0000"'],
    ["\u007f\u0085\u2028", '"\\u007f\\u0085\\u2028"'],
    ["é".repeat(64), `"${"é".repeat(64)}"`],
    ["a".repeat(129), `"${"a".repeat(128)}…"`],
    ["é".repeat(65), `"${"é".repeat(64)}…"`],
    [`a${"é".repeat(64)}`, `"a${"é".repeat(63)}…"`],
    [`\u{feff}${"a".repeat(200)}`, `"\u{feff}${"a".repeat(125)}…"`],
  ])("%j", (value, quoted) => {
    expect(quote(value)).toBe(quoted);
  });
});
