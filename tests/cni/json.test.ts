import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  describeJson,
  isObject,
  JsonError,
  mismatch,
  own,
  parseJson,
} from "../../lib/cni/json.ts";

describe("parseJson", () => {
  const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);

  test.each([
    ["arrays", nested],
    [
      "objects",
      (n: number) => `${'{"a":'.repeat(n - 1)}{}${"}".repeat(n - 1)}`,
    ],
    ["numbers to keep", (n: number) => nested(n).replace("[]", "[1.0]")],
  ])("takes 100 levels of %s and no more", (_, levels) => {
    expect(JSON.stringify(parseJson(levels(100)))).toBe(levels(100));
    expect(refusal(levels(101))).toHaveProperty(
      "reason",
      "nested deeper than 100 levels",
    );
  });

  test("the limit of levels is a parameter", () => {
    expect(() => parseJson(nested(101), 101)).not.toThrow();
    expect(() => parseJson(nested(102), 101)).toThrow(
      "nested deeper than 101 levels",
    );
  });

  test.each([
    ["in a string", JSON.stringify("[{".repeat(20_000))],
    ["after escaped quotes", `["${'\\"['.repeat(200)}"]`],
    ["after an escaped backslash", `["\\\\",${nested(99)}]`],
    ["side by side", `[${Array.from({ length: 500 }, () => "[{}]").join()}]`],
  ])("does not count brackets %s", (_, text) => {
    expect(JSON.stringify(parseJson(text))).toBe(text);
  });

  test.each([
    [`["\\\\",${nested(100)}]`, "nested deeper than 100 levels"],
    [
      `["${'a\\"'.repeat(200)}${"[".repeat(200)}`,
      "unexpected end of JSON input",
    ],
    [
      `<html>${"{".repeat(200)}`,
      "invalid character '<' looking for beginning of value",
    ],
  ])("says what is wrong first, case %#", (text, reason) => {
    expect(refusal(text)).toHaveProperty("reason", reason);
  });

  test.each([
    [
      "quotes that never end",
      (n: number) => `["${'a\\"'.repeat(n)}${"[".repeat(n)}`,
    ],
    ["quotes and brackets", (n: number) => '"["'.repeat(n)],
    ["backslashes", (n: number) => `["${"\\".repeat(n)}${"[".repeat(n)}`],
    ["blanks", (n: number) => `[${" ".repeat(n)},${" ".repeat(n)}`],
    ["digits", (n: number) => `[${"1".repeat(n)},${"[".repeat(n)}`],
  ])("needs time in proportion to the length of %s", (_, textOf) => {
    const text = textOf(1_000_000);
    const start = performance.now();
    expect(() => parseJson(text)).toThrow(SyntaxError);
    // 0.3 s; quadratic time would be minutes.
    expect(performance.now() - start).toBeLessThan(4000);
  });

  test.each([
    ["", "unexpected end of JSON input"],
    ["  \n", "unexpected end of JSON input"],
    ["{", "unexpected end of JSON input"],
    ['{"a":[1', "unexpected end of JSON input"],
    ['"a', "unexpected end of JSON input"],
    ["{} x", "invalid character 'x' after top-level value"],
    ["{}{}", "invalid character '{' after top-level value"],
    ["01", "invalid character '1' after top-level value"],
    ["\u{feff}{}", "invalid character 'ï' looking for beginning of value"],
    ["[1,]", "invalid character ']' looking for beginning of value"],
    ["'a'", "invalid character '\\'' looking for beginning of value"],
    ["\u00a0", "invalid character 'Â' looking for beginning of value"],
    ["\u0001", "invalid character '\\x01' looking for beginning of value"],
    [
      '{"a":1,}',
      "invalid character '}' looking for beginning of object key string",
    ],
    [
      "{a:1}",
      "invalid character 'a' looking for beginning of object key string",
    ],
    ['{"a" 1}', "invalid character '1' after object key"],
    ['{"a":1 "b":2}', "invalid character '\"' after object key:value pair"],
    ["[1 2]", "invalid character '2' after array element"],
    ['"a\nb"', "invalid character '\\n' in string literal"],
    ['"\\x"', "invalid character 'x' in string escape code"],
    ['"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"],
    ["-a", "invalid character 'a' in numeric literal"],
    ["1.e", "invalid character 'e' after decimal point in numeric literal"],
    ["1e+", "invalid character ' ' in exponent of numeric literal"],
    ["nul", "invalid character ' ' in literal null (expecting 'l')"],
    ["trve", "invalid character 'v' in literal true (expecting 'u')"],
    ["[".repeat(101), "nested deeper than 100 levels"],
  ])("refuses %j in Go's words", (text, reason) => {
    expect(refusal(text)).toHaveProperty("reason", reason);
  });

  test.each([
    ["", "unexpected end of JSON input at line 1, column 1"],
    ['{"a": 1', "unexpected end of JSON input at line 1, column 8"],
    ['{"a":1}\n\n', undefined],
    ['{"a":1\n\n', "unexpected end of JSON input at line 3, column 1"],
    [
      '{\n  "é": "ü€😀", x\n}',
      "invalid character 'x' looking for beginning of object key string at line 2, column 15",
    ],
    [
      '{\r\n\t"a": [1 2]\r\n}',
      "invalid character '2' after array element at line 2, column 10",
    ],
    [
      `[\n${"[".repeat(100)}`,
      "nested deeper than 100 levels at line 2, column 101",
    ],
  ])("says where %j is wrong", (text, message) => {
    expect(refusal(text)?.message).toBe(message);
  });

  test.each([
    '{"a":9007199254740993,"b":[-12345678901234567890],"c":1.0,"d":1e3,"e":-0,"f":0.10}',
    "1E400",
    "-0.0",
    "[1,2.5,-3,0,123456789012345]",
    '{"mac":"0e:11:22","text":"a:1.0,-0,1e5","n":1}',
    " [ -0 , 10.50 ]".replaceAll(" ", ""),
  ])("prints %s again unchanged", (text) => {
    expect(JSON.stringify(parseJson(text))).toBe(text);
  });

  test.each(["", " ", "\t", "\n", "\r\n  "])(
    "keeps a number behind the blanks %j, the only one",
    (blank) => {
      for (const number of ["1.50", "-0", "1e3", "12345678901234567890"])
        for (const [start, end] of [
          ['{"a":', "}"],
          ['{"a":1,"b":', "}"],
          ["[", "]"],
          ["[1,", "]"],
        ] as const)
          expect(JSON.stringify(parseJson(start + blank + number + end))).toBe(
            start + number + end,
          );
    },
  );

  test("keeps the numbers of any JSON text", () => {
    const number = fc
      .tuple(
        fc.constantFrom("", "-"),
        fc.bigInt(0n, 10n ** 25n).map(String),
        fc.constantFrom("", ".0", ".5", ".25", ".10"),
        fc.constantFrom("", "e0", "E+2", "e-7"),
      )
      .map((parts) => parts.join(""));
    const space = fc.constantFrom("", " ", "\n\t");
    fc.assert(
      fc.property(
        fc.array(number, { minLength: 1 }),
        space,
        (numbers, blank) => {
          const text = `${blank}{"a":${blank}[${numbers.join(`${blank},${blank}`)}${blank}]}`;
          expect(JSON.stringify(parseJson(text))).toBe(
            `{"a":[${numbers.join(",")}]}`,
          );
        },
      ),
    );
  });

  test.each([
    ['{"__proto__":{"x":1},"constructor":null}'],
    ['{"__proto__":{"x":1.0},"constructor":null}'],
  ])("keeps special keys of %s as own properties", (text) => {
    const value = parseJson(text);
    expect(JSON.stringify({ ...Object(value) })).toBe(text);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  });

  test("takes the last of equal keys", () => {
    expect(parseJson('{"a":1,"a":2}')).toEqual({ a: 2 });
  });

  test("leaves numbers that print as they came plain", () => {
    expect(parseJson("[1.5,-2,1234567890123456]")).toEqual([
      1.5, -2, 1234567890123456,
    ]);
  });
});

test.each<[text: string, isObject: boolean, kind: string, secret: string]>([
  ["{}", true, "an object", "an object"],
  ["[]", false, "an array", "an array"],
  ['"a"', false, "a string", "a string"],
  ["1", false, "the number 1", "a number"],
  ["1.0", false, "the number 1.0", "a number"],
  ["true", false, "a bool", "a bool"],
  ["null", false, "null", "null"],
])("isObject and describeJson, of %s", (text, ...expected) => {
  const value = parseJson(text);
  expect<unknown[]>([
    isObject(value),
    describeJson(value),
    describeJson(value, true),
  ]).toEqual(expected);
});

test("mismatch, of an absent key", () => {
  expect([isObject(undefined), mismatch("a string", undefined)]).toEqual([
    false,
    "expected a string, got nothing",
  ]);
});

describe("own", () => {
  test.each([
    [{ a: 1 }, "a", 1],
    [{ a: 1 }, "b", undefined],
    [{ a: 1 }, "constructor", undefined],
    [{ a: 1 }, "__proto__", undefined],
    [parseJson('{"__proto__":2}'), "__proto__", 2],
    [["x"], "0", undefined],
    ["text", "length", undefined],
    [null, "a", undefined],
    [undefined, "a", undefined],
    [parseJson("1.0"), "rawJSON", undefined],
  ])("of %j, key %s", (object, key, value) => {
    expect(own(object, key)).toEqual(value);
  });
});

function refusal(text: string): JsonError | undefined {
  try {
    parseJson(text);
  } catch (error) {
    if (error instanceof JsonError) return error;
    throw error;
  }
  return undefined;
}
