/**
 * The word that was probably meant. Pure.
 */

/** Longer ones are no misspelt word; the effort grows with the length. */
const maxLength = 64;

/** The known word with the fewest changed letters in any case, if those are few enough; a beginning counts as near. */
export function nearest(
  word: string,
  known: readonly string[],
): string | undefined {
  if (word.length > maxLength) return undefined;
  const typed = word.toLowerCase();
  const begun = known.filter((other) => other.toLowerCase().startsWith(typed));
  if (typed !== "" && begun.length === 1) return begun[0];
  const limit = Math.max(1, Math.floor(typed.length / 3));
  const [best] = known
    .map((other) => ({
      word: other,
      distance: distance(typed, other.toLowerCase()),
    }))
    .toSorted((a, b) => a.distance - b.distance);
  return best && best.distance <= limit ? best.word : undefined;
}

/** Letters inserted, removed, replaced, or two neighbours exchanged. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      const exchanged = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row[j] = Math.min(
        at(last, j) + 1,
        at(row, j - 1) + 1,
        at(last, j - 1) + (same ? 0 : 1),
        exchanged ? at(before, j - 2) + 1 : Infinity,
      );
    }
    before = last;
    last = row;
  }
  return at(last, b.length);
}

function at(row: readonly number[], j: number): number {
  return row[j] ?? Infinity;
}
