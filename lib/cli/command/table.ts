/** Tables as kubectl prints them, ages and numbers of objects. */
import { escapeControls } from "../../linux/text.ts";

/** Head and cell of a column. */
export type Column<Row> = readonly [head: string, cell: (row: Row) => string];

/** A table with its head, or the rows alone. Control characters in cells are escaped. */
export function table<Row>(
  rows: readonly Row[],
  columnsOfRow: readonly Column<Row>[],
  hasHead = true,
): string {
  return columns([
    ...(hasHead ? [columnsOfRow.map(([head]) => head)] : []),
    ...rows.map((row) =>
      columnsOfRow.map(([, cell]) => escapeControls(cell(row))),
    ),
  ]);
}

/** Lines of aligned columns with two blanks between them and none at the end. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows)
    for (const [i, cell] of row.entries())
      widths[i] = Math.max(widths[i] ?? 0, Bun.stringWidth(cell));
  const padded = (cell: string, i: number) =>
    cell + " ".repeat((widths[i] ?? 0) - Bun.stringWidth(cell));
  return rows
    .map((row) => `${row.map(padded).join("  ").trimEnd()}\n`)
    .join("");
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

/** `1 pod`, `2 pods`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
