/** selection.md §6: all problems are told, at most 8 KiB of them. */
import { expect, test } from "bun:test";
import { joined, problemList } from "../../lib/select/problems.ts";

test("problemList, takes problems while there is room for them", () => {
  const list = problemList(10);
  expect([list.text, list.add("1234"), list.add("5678")]).toEqual([
    "",
    true,
    true,
  ]);
  expect(list.text).toBe("1234, 5678");
  expect([list.add("9"), list.text]).toEqual([false, "1234, 5678, and more"]);
  expect([list.add(""), list.text]).toEqual([false, "1234, 5678, and more"]);
});

test("problemList, of one that is too long its beginning", () => {
  const list = problemList(10);
  expect([list.add("äääääö"), list.text]).toEqual([false, "äääää…"]);
  expect([list.add(""), list.text]).toEqual([false, "äääää…"]);
});

test("joined, 8 KiB of texts", () => {
  expect(joined(["a", "b"])).toBe("a, b");
  const text = joined(Array.from({ length: 10_000 }, () => "x"));
  expect(text.length).toBeGreaterThan(7900);
  expect(text.length).toBeLessThanOrEqual(8192);
});
