/**
 * The peak memory of a child. What the system tells the parent of a child is no
 * less than the parent's own memory when it started it, and ours is larger than
 * what we measure. So a small shell starts the child and ends, and the child,
 * now an orphan, becomes ours to wait for.
 */
import { dlopen } from "bun:ffi";
import { readElfHeader } from "../scripts/elf.ts";
import { targetFor } from "../scripts/targets.ts";

const { libc } = targetFor(await readElfHeader(process.execPath));
const { symbols } = dlopen(libc, {
  prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
  wait4: { args: ["i32", "ptr", "i32", "ptr"], returns: "i32" },
});

const PR_SET_CHILD_SUBREAPER = 36;
if (symbols.prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n) !== 0) {
  throw new Error("failed to become the parent of orphans");
}

/** `struct rusage`: two times of 16 bytes, then ru_maxrss in KiB. */
const rusageBytes = 144;
const maxrssAt = 32;

const script = 'input=$1; shift; "$@" <"$input" >/dev/null 2>&1 & echo $!';

/** In MiB. `input` is a file for its stdin. Throws Error when it does not exit with 0. */
export function peakRss(
  cmd: readonly string[],
  env: Record<string, string>,
  input: string,
): number {
  const shell = Bun.spawnSync(["/bin/sh", "-c", script, "sh", input, ...cmd], {
    env,
  });
  const status = new Int32Array(1);
  const rusage = new BigInt64Array(rusageBytes / 8);
  const pid = Number(shell.stdout.toString());
  if (symbols.wait4(pid, status, 0, rusage) !== pid)
    throw new Error(`failed to wait for ${cmd[0]}`);
  const [code] = status;
  if (code !== 0) throw new Error(`${cmd[0]} ended with status ${code}`);
  return Number(rusage[maxrssAt / 8]) / 1024;
}
