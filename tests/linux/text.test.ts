/** Text from outside inside of messages, and the words of errors. */
import { describe, expect, test } from "bun:test";
import { CniError } from "../../lib/cni/error.ts";
import { errnoOf, messageOf } from "../../lib/linux/errno.ts";
import { plain, quote, quoteOutput } from "../../lib/linux/text.ts";

describe("errnoOf and messageOf", () => {
  test.each([
    [
      "a system error",
      Object.assign(new Error("no such file"), { code: "ENOENT" }),
      "ENOENT",
      "no such file",
    ],
    [
      "an error of a file",
      Object.assign(new Error("ENOENT: …"), {
        code: "ENOENT",
        syscall: "open",
        path: "/a",
      }),
      "ENOENT",
      'failed to open "/a": no such file or directory',
    ],
    [
      "an error of two files",
      Object.assign(new Error("EROFS: …"), {
        code: "EROFS",
        syscall: "rename",
        path: "/a",
        dest: "/b",
      }),
      "EROFS",
      'failed to rename "/a" to "/b": read-only file system',
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
    // Bidirectional controls, zero-width characters, a byte order mark, tags.
    ["a\u202eb\u2066", '"a\\u202eb\\u2066"'],
    ["\u200b\u200d\u2060\u00ad\u3164", '"\\u200b\\u200d\\u2060\\u00ad\\u3164"'],
    ["\u{e0041}", '"\\udb40\\udc41"'],
    ["ä 中 😀", '"ä 中 😀"'],
    ["é".repeat(64), `"${"é".repeat(64)}"`],
    ["a".repeat(129), `"${"a".repeat(128)}…"`],
    ["é".repeat(65), `"${"é".repeat(64)}…"`],
    [`a${"é".repeat(64)}`, `"a${"é".repeat(63)}…"`],
    [`\u{feff}${"a".repeat(200)}`, `"\\ufeff${"a".repeat(125)}…"`],
  ])("%j", (value, quoted) => {
    expect(quote(value)).toBe(quoted);
  });
});

describe("plain", () => {
  test.each([
    ["1.0.0 beta", "1.0.0 beta"],
    ["", '""'],
    ["a\u202eb", '"a\\u202eb"'],
  ])("%j", (value, expected) => {
    expect(plain(value)).toBe(expected);
  });
});
