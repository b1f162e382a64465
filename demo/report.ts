/**
 * The output of the demo: headings, steps with ✓ or ✗, tables. Colour only on a
 * terminal.
 */

/** A failure of a step that is reported already. */
export class StepFailed extends Error {}

const codes = { bold: 1, red: 31, green: 32, dim: 2 } as const;

export class Report {
  readonly #coloured: boolean;
  readonly #began = performance.now();
  #steps = 0;

  /** NO_COLOR, if not empty, wins over a terminal (no-color.org). */
  constructor(
    isTerminal: boolean,
    env: Readonly<Record<string, string | undefined>>,
  ) {
    this.#coloured = isTerminal && !env["NO_COLOR"] && env["TERM"] !== "dumb";
  }

  paragraph(text: string): void {
    console.log(text);
  }

  heading(text: string): void {
    console.log(`\n${this.#paint("bold", text)}`);
  }

  /**
   * Does something that verifies itself by not throwing. `shown` adds what was
   * seen to the claim. Throws `StepFailed` after it has said why.
   */
  async step<T>(
    claim: string,
    action: () => T | Promise<T>,
    shown: (value: T) => string = () => "",
  ): Promise<T> {
    try {
      const value = await action();
      const seen = shown(value);
      this.#steps++;
      console.log(
        `  ${this.#paint("green", "✓")} ${claim}${seen && `: ${seen}`}`,
      );
      return value;
    } catch (cause) {
      this.failed(`${claim}: ${reasonOf(cause)}`);
      throw new StepFailed(claim, { cause });
    }
  }

  failed(text: string): void {
    console.log(`  ${this.#paint("red", "✗")} ${text}`);
  }

  /** A remark, neither done nor failed. */
  note(text: string): void {
    console.log(`    ${this.#paint("dim", text)}`);
  }

  table(head: readonly string[], rows: readonly (readonly string[])[]): void {
    const widths = head.map((_, i) =>
      Math.max(...[head, ...rows].map((row) => Bun.stringWidth(row[i] ?? ""))),
    );
    const line = (row: readonly string[]) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd();
    console.log(`\n    ${this.#paint("dim", line(head))}`);
    for (const row of rows) console.log(`    ${line(row)}`);
    console.log();
  }

  summary(): void {
    const seconds = ((performance.now() - this.#began) / 1000).toFixed(1);
    console.log(
      `\n${this.#paint("bold", `${this.#steps} steps as shown, in ${seconds} s`)}`,
    );
  }

  #paint(style: keyof typeof codes, text: string): string {
    return this.#coloured ? `\u001b[${codes[style]}m${text}\u001b[0m` : text;
  }
}

/** A command that failed says why on its stderr. */
function reasonOf(cause: unknown): string {
  if (cause instanceof Bun.$.ShellError)
    return `${cause.message}: ${cause.stderr.toString().trim()}`;
  return cause instanceof Error ? cause.message : String(cause);
}
