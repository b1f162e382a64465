/**
 * A process below the node's root, where loader, libraries and paths are the node's. It
 * is this executable with a hidden command, which changes its root first and prints JSON.
 */
import type * as v from "valibot";
import { parseJson } from "../../cni/json.ts";
import { parse } from "../../cni/schema.ts";
import { messageOf } from "../../linux/errno.ts";
import { chroot } from "../../linux/libc.ts";
import type { Terminal } from "../command/terminal.ts";
import type { Host } from "./host.ts";

/** Executes a hidden command with `--root`, and returns its JSON output. Throws Error with its message. */
export async function runBelowRoot<Schema extends v.GenericSchema>(
  { root }: Host,
  [command, ...args]: readonly [string, ...string[]],
  schema: Schema,
  { env, self }: Pick<Terminal, "env" | "self">,
  limitMs: number,
): Promise<v.InferOutput<Schema>> {
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
  if (child.exitCode === 0) return parse(schema, parseJson(stdout), Error);
  const problem = stderr.trim().replace(`genie ${command}: `, "");
  throw new Error(problem || `failed to execute ${command} below ${root}`);
}

/** Changes the root of this process, for good. Throws Error without the capability. */
export function changeRoot(directory: string | undefined): void {
  if (directory === undefined) return;
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
