/**
 * The natural order of device IDs: `0000:03:02.2` before `0000:03:02.10`
 * (devices.md). Pure.
 */

/** For `sort`. 0 only for equal texts. */
export function naturalOrder(a: string, b: string): number {
  const [first, second] = [partsOf(a), partsOf(b)];
  for (const [i, part] of first.entries()) {
    const order = orderOfParts(part, second[i] ?? "");
    if (order !== 0) return order;
  }
  // Equal numbers may have leading zeros.
  return first.length - second.length || byText(a, b);
}

function partsOf(id: string): string[] {
  return id.match(/\d+|\D+/g) ?? [];
}

/** Numbers of any length. */
function orderOfParts(a: string, b: string): number {
  if (!/^\d/.test(a) || !/^\d/.test(b)) return byText(a, b);
  const [first, second] = [a.replace(/^0+/, ""), b.replace(/^0+/, "")];
  return first.length - second.length || byText(first, second);
}

function byText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
