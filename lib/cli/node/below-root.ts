/**
 * A process below the node's root, where loader, libraries and paths are the node's. It
 * is this executable with a hidden command, which changes its root first.
 */
import { messageOf } from "../../linux/errno.ts";
import { chroot } from "../../linux/libc.ts";
import type { Terminal } from "../command/terminal.ts";
import type { Host } from "./host.ts";

export interface ProcessOutcome {
  /** null: killed, also after `limitMs`. */
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

/** Executes a hidden command with its `--root`. Throws the errno of the execution. */
export async function runBelowRoot(
  { root }: Host,
  [command, ...args]: readonly [string, ...string[]],
  { env, self }: Pick<Terminal, "env" | "self">,
  limitMs: number,
): Promise<ProcessOutcome> {
  const child = Bun.spawn({
    cmd: [self, command, `--root=${root}`, ...args],
    env: { ...env },
    // Needs no /dev/null: the other root may not have one.
    stdin: new Blob([]),
    stdout: "pipe",
    stderr: "pipe",
    timeout: limitMs,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  return { exitCode: child.exitCode, stdout, stderr };
}

/** Changes the root of this process, for good. Throws Error without the capability. */
export function changeRoot(directory: string): void {
  try {
    chroot(directory);
  } catch (cause) {
    throw new Error(
      `failed to change the root to ${directory}: ${messageOf(cause)}: the capability SYS_CHROOT is needed`,
      { cause },
    );
  }
  process.chdir("/");
}
