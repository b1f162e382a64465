/**
 * The report as a picture (SVG): for each row a bar from the 5th to the 95th
 * percentile with the median in it, on a logarithmic scale, because the rows reach
 * from a third of a millisecond to a quarter of a second.
 */
import type { ReportRow } from "./report.ts";

const width = 860;
const left = 290;
const right = 150;
const rowHeight = 22;
const top = 46;
const ticks = [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000];

/** Readable on white and on black: the picture follows the reader's scheme. */
const style = `
text { font: 12px system-ui, "DejaVu Sans", sans-serif; fill: #24292f; }
.head { font-weight: 600; } .dim { fill: #57606a; } .end { text-anchor: end; } .middle { text-anchor: middle; }
.grid { stroke: #d0d7de; } .floor { fill: #8c959f; } .genie { fill: #2f81f7; } .peer { fill: #d4772c; }
.median { stroke: #24292f; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .dim { fill: #9198a1; } .grid { stroke: #3d444d; } .floor { fill: #656c76; } .median { stroke: #f0f6fc; }
}`;

/** Text that is the same for the same rows. */
export function plotOf(rows: readonly ReportRow[]): string {
  const shown = ticksFor(rows);
  const lines = linesOf(rows);
  const bottom = top + lines.length * rowHeight;
  const height = bottom + 30;
  const x = scale(shown[0] ?? 1, shown.at(-1) ?? 1);
  const grid = shown.flatMap((tick) => [
    `<line class="grid" x1="${x(tick)}" x2="${x(tick)}" y1="${top}" y2="${bottom}"/>`,
    `<text class="dim middle" x="${x(tick)}" y="${bottom + 18}">${tick}</text>`,
  ]);
  const body = lines.flatMap((line, i) => drawn(line, top + i * rowHeight, x));
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>Milliseconds of whole processes</title>`,
    `<style>${style}\n</style>`,
    `<text class="head" x="8" y="20">Whole processes, milliseconds</text>`,
    `<text class="dim end" x="${width - 8}" y="20">bar: 5th to 95th percentile; mark: median (times the empty program)</text>`,
    ...grid,
    ...body,
    "</svg>",
  ].join("\n")}\n`;
}

type Line = string | ReportRow;

/** Each program's name, then its rows. */
function linesOf(rows: readonly ReportRow[]): Line[] {
  return [...Map.groupBy(rows, ({ program }) => program)].flatMap(
    ([program, own]): Line[] => [program, ...own],
  );
}

function drawn(line: Line, y: number, x: (ms: number) => number): string[] {
  const base = y + 15;
  if (typeof line === "string")
    return [`<text class="head" x="8" y="${base}">${escaped(line)}</text>`];
  const { program, call, p5Ms, medianMs, p95Ms, ratio } = line;
  const from = x(p5Ms);
  const length = Math.max(x(p95Ms) - from, 2).toFixed(1);
  const at = x(medianMs);
  return [
    `<text x="20" y="${base}">${escaped(call)}</text>`,
    `<rect class="bar ${kindOf(program)}" x="${from}" y="${y + 5}" width="${length}" height="12" rx="3"/>`,
    `<line class="median" x1="${at}" x2="${at}" y1="${y + 3}" y2="${y + 19}"/>`,
    `<text class="end" x="${width - 8}" y="${base}">${medianMs.toFixed(1)} ms (${ratio.toFixed(2)} ×)</text>`,
  ];
}

function kindOf(program: string): string {
  return { genie: "genie", floors: "floor" }[program] ?? "peer";
}

/** The ticks around all values. */
function ticksFor(rows: readonly ReportRow[]): number[] {
  const least = Math.min(...rows.map(({ p5Ms }) => p5Ms));
  const most = Math.max(...rows.map(({ p95Ms }) => p95Ms));
  const first = ticks.findLastIndex((tick) => tick <= least);
  const last = ticks.findIndex((tick) => tick >= most);
  return ticks.slice(Math.max(first, 0), last < 0 ? ticks.length : last + 1);
}

/** Milliseconds to a horizontal position. */
function scale(least: number, most: number): (ms: number) => number {
  const span = Math.log(most / least) || 1;
  const length = width - left - right;
  return (ms) =>
    Number((left + (length * Math.log(ms / least)) / span).toFixed(1));
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
