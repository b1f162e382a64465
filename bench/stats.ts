/**
 * Of many measurements, a few numbers.
 */

/** The smallest value that so large a part of all does not exceed; between two middle ones, their mean. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = part * sorted.length;
  const lower = sorted[Math.ceil(at) - 1] ?? Number.NaN;
  const upper = sorted[Math.floor(at)] ?? lower;
  return (lower + upper) / 2;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
