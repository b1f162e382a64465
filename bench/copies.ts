/**
 * Several copies of each program. The place of its pages in memory makes one copy of a
 * program a few percent slower than another, so the copies take turns.
 */
import { copyFileSync, mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { evict } from "./page-cache.ts";
import type { Step } from "./step.ts";

export const copyCount = 4;

export class Copies {
  readonly #copies = new Map<string, string[]>();

  /** Copies of the programs, absolute paths, below `directory`; none of them in the page cache. */
  constructor(programs: Iterable<string>, directory: string) {
    for (const program of new Set(programs)) {
      const number = this.#copies.size;
      const copies = Array.from({ length: copyCount }, (_, i) => {
        const own = join(directory, "copies", `${number}-${i}`);
        mkdirSync(own, { recursive: true });
        const copy = join(own, basename(program));
        copyFileSync(program, copy);
        evict(copy);
        return copy;
      });
      this.#copies.set(program, copies);
    }
  }

  /** The same step, by the copies whose turn it is. */
  step(step: Step, turn: number): Step {
    const commands = step.commands.map((command) => ({
      ...command,
      argv: command.argv.map(
        (argument) =>
          this.#copies.get(argument)?.[turn % copyCount] ?? argument,
      ),
    }));
    return { ...step, commands };
  }
}
