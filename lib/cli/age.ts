/**
 * Time since an event, in words. Pure.
 */

const units = [
  ["d", 86_400],
  ["h", 3600],
  ["m", 60],
  ["s", 1],
] as const;

/** The age in the largest unit that fits, as kubectl shows it. */
export function age(time: string, now: Date): string {
  const seconds = Math.max(0, (now.getTime() - Date.parse(time)) / 1000);
  const [unit, size] =
    units.find(([, length]) => seconds >= length) ?? units[3];
  return Number.isNaN(seconds) ? "-" : `${Math.floor(seconds / size)}${unit}`;
}
