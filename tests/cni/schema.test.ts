/** style.md 6: one wording of problems, over valibot. */
import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { parseJson } from "../../lib/cni/json.ts";
import {
  jsonObject,
  list,
  map,
  number,
  object,
  parse,
  problemsIn,
  text,
} from "../../lib/cni/schema.ts";

const schema = object({
  name: v.string(),
  mac: v.nullish(text((value) => value === "m", "a MAC address")),
  ips: v.nullish(v.pipe(v.array(v.string()), v.maxLength(3, "at most 3 IPs"))),
  level: v.nullish(v.picklist(["error", "warn", "info"])),
  size: v.nullish(v.union([v.string(), v.array(v.string())])),
  count: v.nullish(v.number()),
  rate: v.nullish(number((value) => value > 0, "a number above 0")),
  args: v.nullish(map(v.string())),
  plugin: v.nullish(object({ type: v.string(), ipam: v.nullish(jsonObject) })),
});

const secret = { secret: true };

describe("problemsIn", () => {
  test.each<[json: string, expected: string[]]>([
    ['{"name":"a","other":1,"rate":1.50}', []],
    [
      '{"name":"a","mac":null,"ips":null,"args":null,"plugin":null,"rate":null}',
      [],
    ],
    ["{}", ["name: expected a string, got nothing"]],
    ["[]", ["expected an object, got an array"]],
    ["null", ["expected an object, got null"]],
    ['{"name":"a","count":"5"}', ['count: expected a number, got "5"']],
    ['{"name":5}', ["name: expected a string, got the number 5"]],
    ['{"name":null}', ["name: expected a string, got null"]],
    [
      '{"name":"a","args":[],"plugin":[]}',
      [
        "args: expected an object, got an array",
        "plugin: expected an object, got an array",
      ],
    ],
    [
      '{"name":"a","args":{"x":1,"constructor":2,"a\\nb":3}}',
      [
        "args.x: expected a string, got the number 1",
        "args.constructor: expected a string, got the number 2",
        'args."a\\nb": expected a string, got the number 3',
      ],
    ],
    [
      '{"name":"a","mac":"x","plugin":{"ipam":1}}',
      [
        'mac: expected a MAC address, got "x"',
        "plugin.type: expected a string, got nothing",
        "plugin.ipam: expected an object, got the number 1",
      ],
    ],
    ['{"name":"a","mac":true}', ["mac: expected a MAC address, got a bool"]],
    [
      '{"name":"a","ips":["b",{}]}',
      ["ips.1: expected a string, got an object"],
    ],
    [
      '{"name":"a","ips":["b","c","d","e"]}',
      ["ips: expected at most 3 IPs, got 4"],
    ],
    ['{"name":"a","ips":"b"}', ['ips: expected an array, got "b"']],
    [
      '{"name":"a","level":"loud"}',
      ['level: expected "error", "warn" or "info", got "loud"'],
    ],
    [
      '{"name":"a","size":true}',
      ["size: expected a string or an array, got a bool"],
    ],
    [
      '{"name":"a","size":["b",2]}',
      ["size.1: expected a string, got the number 2"],
    ],
    [
      '{"name":"a","rate":-1.50}',
      ["rate: expected a number above 0, got the number -1.50"],
    ],
    [
      `{"name":"${"n".repeat(200)}","rate":-${"1".repeat(200)}}`,
      [`rate: expected a number above 0, got the number -${"1".repeat(127)}…`],
    ],
  ])("of %s: %j", (json, expected) => {
    expect(problemsIn(schema, parseJson(json))).toEqual(expected);
  });

  test("of a secret, its kind alone", () => {
    const values = [{ name: 1234 }, { name: "a", ips: "b", mac: "key" }];
    expect(
      values.flatMap((value) => problemsIn(schema, value, secret)),
    ).toEqual([
      "name: expected a string, got a number",
      "mac: expected a MAC address, got a string",
      "ips: expected an array, got a string",
    ]);
    expect(
      problemsIn(
        schema,
        { name: "a", mac: "x", args: { token: 1 } },
        { secret: ["args"] },
      ),
    ).toEqual([
      'mac: expected a MAC address, got "x"',
      "args.token: expected a string, got a number",
    ]);
  });

  test("of very many, no more than a message has room for", () => {
    const ips = Array(10_000).fill(1);
    expect(problemsIn(schema, { name: "a", ips })).toHaveLength(500);
  });
});

describe("list", () => {
  const letters = list(v.string(), (letter, earlier) =>
    earlier.includes(letter) ? "no second one" : undefined,
  );

  test("words problems of items, and of an item after valid ones", () => {
    expect(problemsIn(letters, ["a", 1, "b", "a"])).toEqual([
      "1: expected a string, got the number 1",
      '3: expected no second one, got "a"',
    ]);
    expect(problemsIn(letters, {})).toEqual([
      "expected an array, got an object",
    ]);
  });

  test("looks at no further item once there are too many problems", () => {
    let looks = 0;
    const item = text(() => ++looks === 0, "x");
    expect(problemsIn(list(item), Array(10_000).fill("a"))).toHaveLength(500);
    expect(looks).toBe(500);
  });
});

describe("parse", () => {
  const fail = (problem: string) => new Error(`file: ${problem}`);

  test("returns the value itself", () => {
    const value = parseJson(
      '{"name":"a","other":1,"constructor":2,"__proto__":3}',
    );
    expect(parse(schema, value, fail)).toBe(value as never);
  });

  test("throws the error that `fail` makes of the first problem", () => {
    const value = { name: 1, ips: 2 };
    expect(() => parse(schema, value, fail, secret)).toThrow(
      "file: name: expected a string, got a number",
    );
  });
});
