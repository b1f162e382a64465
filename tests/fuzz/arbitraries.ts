/**
 * Inputs for property tests: texts that are almost right, JSON with the keys
 * that trip JavaScript, and what every property asks of a failure.
 */
import { expect } from "bun:test";
import * as fc from "fast-check";
import { CniError } from "../../lib/cni/error.ts";
import { messageOf } from "../../lib/linux/errno.ts";

/** How many inputs a property sees: enough for a bug a year, quick enough for every run. */
export const runs = { numRuns: 1000 } as const;
export const fewRuns = { numRuns: 200 } as const;

/** Any text: control characters, lone surrogates, nothing at all. */
export const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string(),
  fc.string({ unit: "grapheme" }),
);

/** One of the texts after a few edits at random places; some stay as they are. */
export function mutated(...texts: readonly string[]): fc.Arbitrary<string> {
  const edit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    remove: fc.nat(3),
    insert: fc.oneof(
      fc.constantFrom(
        "",
        ",",
        "@",
        "/",
        " ",
        "\u0000",
        '"',
        "[",
        "{",
        "}",
        "null",
        "-",
        "\u2028",
      ),
      anyText,
    ),
  });
  return fc
    .tuple(fc.constantFrom(...texts), fc.array(edit, { maxLength: 4 }))
    .map(([text, edits]) =>
      edits.reduce((before, { at, remove, insert }) => {
        const start = Math.floor(at * (before.length + 1));
        return before.slice(0, start) + insert + before.slice(start + remove);
      }, text),
    );
}

const dangerousKeys = [
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "length",
  "",
];

/** Any decoded JSON value; objects may have `keys`, and keys that every object inherits. */
export function anyJson(...keys: readonly string[]): fc.Arbitrary<unknown> {
  const key = fc.oneof(fc.constantFrom(...keys, ...dangerousKeys), fc.string());
  return fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.constant(null),
      fc.boolean(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.integer(),
      fc.constantFrom(
        "",
        "10.0.0.2/24",
        "::1",
        "fe80::/64",
        "1.0.0",
        "0.3.1",
        "eth0",
        "bridge",
        "a/b",
        "..",
      ),
      anyText,
      fc.array(tie("value"), { maxLength: 4 }),
      fc.array(fc.tuple(key, tie("value")), { maxLength: 6 }).map(objectOf),
    ),
  })).value;
}

/** The decoded example with up to three of its values, at any depth, replaced or removed. */
export function almost(example: unknown): fc.Arbitrary<unknown> {
  const change = fc.record({
    at: fc.nat(),
    by: fc.option(anyJson(), { nil: undefined }),
  });
  return fc.array(change, { maxLength: 3 }).map((changes) =>
    changes.reduce((before, { at, by }) => {
      const count = places(before);
      let left = count === 0 ? 0 : at % count;
      const text = JSON.stringify(
        before,
        function replace(key, value: unknown) {
          return key !== "" && left-- === 0 ? by : value;
        },
      );
      return JSON.parse(text) as unknown;
    }, example),
  );
}

/** How many values are inside. */
function places(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return Object.values(value).reduce(
    (sum: number, inner) => sum + 1 + places(inner),
    0,
  );
}

/** As JSON.parse makes it: `__proto__` is an own property. */
export function objectOf(
  entries: readonly (readonly [string, unknown])[],
): object {
  return JSON.parse(
    `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`,
  ) as object;
}

/** The return value of a function; a failure must be a CniError of one of these codes, in one line. */
export function orCniError<T>(
  action: () => T,
  ...codes: readonly number[]
): T | undefined {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    expect(codes).toContain(error.code);
    expectPrintable(error.message);
    return undefined;
  }
}

/** No control character, so that one error is one line in the kubelet's log; and never nothing. */
export function expectPrintable(message: string): void {
  expect(message).not.toBe("");
  // oxlint-disable-next-line no-control-regex -- these are what must not be there
  expect(message).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
}

/** A defect of JavaScript, not a refusal: a property that does not exist, a stack that is full. */
export function expectRefusal(error: unknown): void {
  expect(
    [TypeError, RangeError, ReferenceError].some(
      (kind) => error instanceof kind,
    )
      ? messageOf(error)
      : "",
  ).toBe("");
}
