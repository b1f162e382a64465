/** `-o yaml`: every reader of YAML sees what `-o json` says. */
import { expect, test } from "bun:test";
import { structured, yamlOf } from "../../lib/cli/command/output.ts";
import { table } from "../../lib/cli/command/table.ts";

test.each([
  "2026-11-28",
  "2026-11-28T16:02:38.881Z",
  "2026-11-28 16:02:38",
  "11:22:33:44:55:50",
  "1:20",
  "1_000",
  "0b11",
  "=",
])("yamlOf, %s is a text in YAML 1.1 too", (text) => {
  expect(yamlOf({ time: text, "a: b": text, list: [text], deep: [[text]] }))
    .toBe(`time: "${text}"
"a: b": "${text}"
list:
  - "${text}"
deep:
  - - "${text}"
`);
});

test.each(["json", "yaml"])(
  "structured, %s gives no orders to the terminal and has the same value",
  (format) => {
    const value = { "\u009b2J": ["\u202e", "a\nb\u2028"] };
    const text = structured(value, format) ?? "";
    expect(text).toMatch(/^[ -~\n]+$/);
    expect(Bun.YAML.parse(text)).toEqual(value);
  },
);

test("table, a cell is no line of it and no order to the terminal", () => {
  const cells = ["a\nb", "\u001b[2J", "\u009b2J", "\u202e"];
  expect(table(cells, [["CELL", String]])).toBe(
    "CELL\na\\nb\n\\u001b[2J\n\\u009b2J\n\\u202e\n",
  );
});

test.each([
  7,
  -1.5,
  12_345_678_901,
  "10.66.0.2/24",
  "a - 1:20",
  "x:1:20",
  "a\n1:20",
  "1:20 a",
  'a "b": 1:20',
  "net1",
])("yamlOf, %j stays as it is", (value) => {
  const made = yamlOf({ value, list: [value] });
  expect(Bun.YAML.parse(made)).toEqual({ value, list: [value] });
  expect(made).toBe(
    `${Bun.YAML.stringify({ value, list: [value] }, null, 2)}\n`,
  );
});
