/**
 * Text in columns, and ages as kubectl shows them. Pure.
 */

/** Lines of aligned columns with two blanks between them and none at the end. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries())
      widths[i] = Math.max(widths[i] ?? 0, Bun.stringWidth(cell));
  }
  return rows.map((row) => `${line(row, widths)}\n`).join("");
}

function line(row: readonly string[], widths: readonly number[]): string {
  return row
    .map(
      (cell, i) => cell + " ".repeat((widths[i] ?? 0) - Bun.stringWidth(cell)),
    )
    .join("  ")
    .trimEnd();
}

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
