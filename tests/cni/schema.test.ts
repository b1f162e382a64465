import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { map, object, parse, problemsIn } from "../../lib/cni/schema.ts";

const schema = object({
  name: v.string(),
  mac: v.optional(
    v.pipe(
      v.string(),
      v.check(() => false, "a MAC address"),
    ),
  ),
  ips: v.nullish(v.array(v.string())),
  level: v.optional(v.picklist(["error", "warn"])),
  size: v.optional(v.union([v.string(), v.number()])),
  args: v.optional(map(v.string())),
});

describe("problemsIn", () => {
  test.each<[value: unknown, expected: string[]]>([
    [{ name: "a", ips: null, other: 1 }, []],
    [{}, ["name: is missing"]],
    [[], ["expected an object, got an array"]],
    [{ name: "a", args: [] }, ["args: expected an object, got an array"]],
    [
      { name: "a", args: { x: 1 } },
      ["args.x: expected a string, got the number 1"],
    ],
    [{ name: 5 }, ["name: expected a string, got the number 5"]],
    [{ name: null }, ["name: expected a string, got null"]],
    [{ name: "a", mac: "x" }, ['mac: expected a MAC address, got "x"']],
    [
      { name: "a", ips: ["b", {}] },
      ["ips.1: expected a string, got an object"],
    ],
    [{ name: "a", ips: "b" }, ['ips: expected a list, got "b"']],
    [
      { name: "a", level: "info" },
      ['level: expected "error" or "warn", got "info"'],
    ],
    [
      { name: "a", size: true },
      ["size: expected a string or a number, got a bool"],
    ],
    [
      { name: 1, ips: 2 },
      [
        "name: expected a string, got the number 1",
        "ips: expected a list, got the number 2",
      ],
    ],
  ])("of %j: %j", (value, expected) => {
    expect(problemsIn(schema, value)).toEqual(expected);
  });

  test("of a secret: its kind alone", () => {
    const secret = { secret: true };
    expect([
      ...problemsIn(schema, { name: 1234 }, secret),
      ...problemsIn(schema, { name: "a", ips: "b" }, secret),
    ]).toEqual([
      "name: expected a string, got a number",
      "ips: expected a list, got a string",
    ]);
  });
});

describe("parse", () => {
  const fail = (problem: string) => new Error(`file: ${problem}`);

  test("returns the value with the keys that the schema does not know", () => {
    expect(parse(schema, { name: "a", other: 1 }, fail)).toEqual({
      name: "a",
      other: 1,
    });
  });

  test("throws what `fail` makes of the first problem", () => {
    expect(() => parse(schema, { name: 1, ips: 2 }, fail)).toThrow(
      "file: name: expected a string, got the number 1",
    );
  });
});
