/**
 * The report: named checks with ✓ or ✗ and what was seen, as text on stdout and,
 * where asked, in a file. A check that fails does not stop the others.
 */
import { appendFileSync, writeFileSync } from "node:fs";
import { messageOf } from "../../lib/linux/errno.ts";

/** The observations of a check, shown below it. */
export type Seen = string | undefined | void;

export class Report {
  readonly #file: string | undefined;
  readonly #began = performance.now();
  readonly #failures: string[] = [];
  #passed = 0;
  #skipped = 0;

  constructor(file: string | undefined) {
    this.#file = file;
    if (file !== undefined) writeFileSync(file, "");
  }

  heading(text: string): void {
    this.#print(`\n== ${text}`);
  }

  note(text: string): void {
    this.#print(indented(text));
  }

  /** Passes when `action` does not throw; whether it did. */
  async check(
    claim: string,
    action: () => Seen | Promise<Seen>,
  ): Promise<boolean> {
    const began = performance.now();
    try {
      const seen = await action();
      this.#passed++;
      this.#print(`✓ ${claim} (${secondsSince(began)} s)`);
      if (seen) this.#print(indented(seen));
      return true;
    } catch (error) {
      const failure = `✗ ${claim} (${secondsSince(began)} s)\n${indented(messageOf(error))}`;
      this.#failures.push(failure);
      this.#print(failure);
      return false;
    }
  }

  /** A check that this machine cannot do, and why. */
  skip(claim: string, reason: string): void {
    this.#skipped++;
    this.#print(`- ${claim}: skipped: ${reason}`);
  }

  /** The failures once more and the closing line; whether all passed. */
  close(): boolean {
    const skipped = this.#skipped > 0 ? `, ${this.#skipped} skipped` : "";
    if (this.#failures.length > 0) this.heading("Failed");
    for (const failure of this.#failures) this.#print(failure);
    this.#print(`\nin ${secondsSince(this.#began)} s`);
    this.#print(
      `${this.#passed} passed, ${this.#failures.length} failed${skipped}`,
    );
    return this.#failures.length === 0 && this.#passed > 0;
  }

  #print(text: string): void {
    console.log(text);
    if (this.#file !== undefined) appendFileSync(this.#file, `${text}\n`);
  }
}

function secondsSince(began: number): string {
  return ((performance.now() - began) / 1000).toFixed(1);
}

function indented(text: string): string {
  return text.trimEnd().replace(/^/gm, "    ");
}
