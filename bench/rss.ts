/**
 * The peak memory of a child. The kernel's figure for a child starts with the memory
 * of its parent, and that of the bench is larger than the figure to measure. So a
 * small shell starts the child and exits; the bench then waits for the orphan.
 */
import type { Command } from "./child.ts";
import { reaped, symbols } from "./libc.ts";
import { runAll } from "./process.ts";

const PR_SET_CHILD_SUBREAPER = 36;
if (symbols.prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n) !== 0) {
  throw new Error("failed to become the parent of orphans");
}

// It begins when the shell is gone, which would otherwise now and then collect it.
const script = `input=$1; shift
{ while [ -d /proc/$$ ]; do :; done; exec "$@"; } <"$input" >/dev/null 2>&1 &
echo $!`;

/** In MiB. `input` is a file for its stdin. Throws Error when it does not exit with `code`. */
export async function peakRss(
  { argv, env, stdin }: Command,
  code: number,
  input: string,
): Promise<number> {
  await Bun.write(input, stdin);
  const { outcomes } = runAll([
    {
      argv: ["/bin/sh", "-c", script, "sh", input, ...argv],
      env,
      stdin: "",
    },
  ]);
  const { status, usage } = reaped(Number(outcomes[0]?.stdout));
  if (status !== code << 8)
    throw new Error(`${argv[0]} ended with status ${status}`);
  return usage.peakMiB;
}
