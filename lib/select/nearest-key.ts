/** The nearest known word for a misspelt command or key. Pure. */
import { quote } from "../linux/text.ts";
import { joined } from "./problem-list.ts";

/** Longer words are not compared: the cost grows with the length. */
const maxLength = 64;

/**
 * The only known word with this beginning, else the one with the fewest changed
 * letters, if they are few. Ignores case.
 */
export function nearest(
  word: string,
  known: readonly string[],
): string | undefined {
  if (word.length > maxLength) return undefined;
  const typed = word.toLowerCase();
  const begun = known.filter((other) => other.toLowerCase().startsWith(typed));
  if (typed !== "" && begun.length === 1) return begun[0];
  const [best] = known
    .map((other) => ({ other, changes: distance(typed, other.toLowerCase()) }))
    .toSorted((a, b) => a.changes - b.changes);
  const limit = Math.max(1, Math.floor(typed.length / 3));
  return best && best.changes <= limit ? best.other : undefined;
}

/** `"alowedPlugins" (did you mean "allowedPlugins"?), "x"`, at most 8 KiB. */
export function describeUnknownKeys(
  keys: readonly string[],
  known: readonly string[],
): string {
  return joined(
    keys.values().map((key) => {
      const meant = nearest(key, known);
      const hint =
        meant === undefined ? "" : ` (did you mean ${quote(meant)}?)`;
      return quote(key) + hint;
    }),
  );
}

/** The number of letters inserted, removed, replaced, or exchanged with a neighbour. */
function distance(a: string, b: string): number {
  const rows: number[][] = [];
  const at = (i: number, j: number) => rows[i]?.[j] ?? Infinity;
  for (let i = 0; i <= a.length; i++) {
    const row: number[] = [];
    rows.push(row);
    for (let j = 0; j <= b.length; j++) {
      const replaced = a[i - 1] === b[j - 1] ? 0 : 1;
      const isExchanged = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row[j] =
        i === 0 && j === 0
          ? 0
          : Math.min(
              at(i - 1, j) + 1,
              at(i, j - 1) + 1,
              at(i - 1, j - 1) + replaced,
              isExchanged ? at(i - 2, j - 2) + 1 : Infinity,
            );
    }
  }
  return at(a.length, b.length);
}
