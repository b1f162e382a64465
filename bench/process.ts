/**
 * Runs whole processes, one or several at a time, and says how long each took from
 * before its start to after its end. In between the bench sleeps in poll(2).
 */
import { Child, type Command, type Outcome } from "./child.ts";
import { symbols } from "./libc.ts";

/** Whatever takes longer hangs. */
const limitMs = 60_000;
const POLLIN = 1;

/** Runs them all, `atATime` of them: their outcomes in the same order, and the time of the whole. Throws Error when one cannot be started or hangs. */
export function runAll(
  commands: readonly Command[],
  atATime = 1,
): { outcomes: Outcome[]; ms: number } {
  const children = commands.map((command) => new Child(command));
  const queue = [...children];
  const running = new Set<Child>();
  const start = performance.now();
  while (queue.length > 0 || running.size > 0) {
    while (running.size < atATime) {
      const next = queue.shift();
      if (!next) break;
      next.start();
      running.add(next);
    }
    const ended = firstToEnd([...running]);
    ended.end();
    running.delete(ended);
  }
  const ms = performance.now() - start;
  return { outcomes: children.map((child) => child.outcome()), ms };
}

/** Waits until one of them has ended. */
function firstToEnd(running: readonly Child[]): Child {
  // struct pollfd: a descriptor, then two halves, what is asked and what is answered.
  const table = new Int32Array(running.length * 2);
  for (const [i, child] of running.entries())
    table.set([child.pidfd, POLLIN], i * 2);
  const deadline = performance.now() + limitMs;
  while (performance.now() < deadline) {
    symbols.poll(table, BigInt(running.length), limitMs);
    const ended = running.find((_, i) => (table[i * 2 + 1] ?? 0) >>> 16 !== 0);
    if (ended) return ended;
    // A signal of Bun's own threads interrupted it.
  }
  throw new Error(`a process runs longer than ${limitMs} ms`);
}
