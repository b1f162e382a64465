/**
 * The natural order of device IDs: `0000:03:02.2` before `0000:03:02.10`
 * (devices.md). Pure.
 */

const collator = new Intl.Collator("en", { numeric: true });

/** For `sort`. 0 only for equal texts: equal numbers may have leading zeros. */
export function naturalOrder(a: string, b: string): number {
  return collator.compare(a, b) || (a < b ? -1 : Number(a > b));
}
