/** selection.md §6: all problems are told, at most 8 KiB of them. */
import { expect, test } from "bun:test";
import { joined } from "../../lib/select/problem-list.ts";

test.each<[texts: string[], expected: string]>([
  [[], ""],
  [["1234", "5678"], "1234, 5678"],
  [["1234", "56789"], "1234, and more"],
  [["1234", "56789", ""], "1234, and more"],
  [["äääääö", "1"], "äääää…"],
])("joined, %j in 10 bytes", (texts, expected) => {
  expect(joined(texts, 10)).toBe(expected);
});

test("joined, 8 KiB of texts, and no further text is asked for", () => {
  let asked = 0;
  const endless = function* () {
    for (;;) yield `${asked++}`;
  };
  const text = joined(endless());
  expect(text.length).toBeGreaterThan(7900);
  expect(text.length).toBeLessThanOrEqual(8192);
  expect(asked).toBeLessThan(8000);
});
