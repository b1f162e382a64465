import { describe, expect, test } from "bun:test";
import { CniError, Code } from "../../lib/cni/error.ts";
import { StepError, SystemError } from "../../lib/linux/errno.ts";

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

  test("toObject has at most 8 KiB, cut in the middle", () => {
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

  test("message and details, each at most 8 KiB", () => {
    const long = `first ${"x".repeat(3 << 20)} last`;
    const { message, details } = new CniError(999, long, { details: long });
    for (const text of [message, details]) {
      expect(text).toMatch(/^first x+…x+ last$/);
      expect(bytes(text)).toBeWithin(8180, 8193);
    }
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

  test("from returns a CniError itself", () => {
    const error = new CniError(4, "x");
    expect(CniError.from(error)).toBe(error);
  });

  test.each([
    ["EMFILE", 11, "too many open files"],
    ["ENOMEM", 11, "cannot allocate memory"],
    ["EIO", 5, "input/output error"],
    ["EROFS", 5, "read-only file system"],
  ])("from makes a failed system call, %s, code %d", (errno, code, message) => {
    expect(CniError.from(new SystemError(errno))).toMatchObject({
      code,
      message,
    });
  });

  test.each([
    ["EMFILE", 11, "failed to look: too many open files"],
    ["ENETDOWN", 999, "failed to look: network is down"],
  ])("from makes a failed step, %s, code %d", (errno, code, message) => {
    const error = new StepError("failed to look", new SystemError(errno));
    const found = { code, message, details: errno };
    expect(CniError.from(error)).toMatchObject(found);
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
