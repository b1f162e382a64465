/**
 * Text in columns. Pure.
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
