/** Reads and formats CNI_ARGS (cni-plugin.md §1.10). Pure. */

/**
 * The pairs of CNI_ARGS in order, split at the first `=`; a part without `=` is
 * skipped (§1.10).
 */
export function parseCniArgs(text: string): [key: string, value: string][] {
  const pairs: [key: string, value: string][] = [];
  for (const pair of text.split(";")) {
    const at = pair.indexOf("=");
    if (at > 0) pairs.push([pair.slice(0, at), pair.slice(at + 1)]);
  }
  return pairs;
}

/** The value of a key of CNI_ARGS; the last one wins, as in Go's LoadArgs. */
export function cniArg(args: string, key: string): string | undefined {
  let found: string | undefined;
  for (const [name, value] of parseCniArgs(args)) {
    if (name === key) found = value;
  }
  return found;
}

/** The text of CNI_ARGS; the inverse of `parseCniArgs`. */
export function formatCniArgs(
  pairs: Iterable<readonly [key: string, value: string]>,
): string {
  return Array.from(pairs, ([key, value]) => `${key}=${value}`).join(";");
}
