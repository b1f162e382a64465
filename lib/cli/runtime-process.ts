/**
 * The container runtimes that run on this machine, from /proc: programs of PATH and
 * files in /etc may belong to another runtime.
 */
import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import type { Runtime } from "./runtime.ts";

export interface RuntimeProcess {
  runtime: Runtime;
  pid: number;
  /** Its executable, even if the file was replaced. */
  program: string;
  argv: readonly string[];
}

/** By kernel name; `containerd-shim` is another program. */
const names: Readonly<Record<string, Runtime>> = {
  containerd: "containerd",
  crio: "crio",
};

/** Sorted by pid. `proc` is a parameter for tests. */
export function runtimeProcesses(proc = "/proc"): RuntimeProcess[] {
  return readdirSync(proc)
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .toSorted((a, b) => a - b)
    .flatMap((pid) => processOf(`${proc}/${pid}`, pid) ?? []);
}

function processOf(directory: string, pid: number): RuntimeProcess | undefined {
  try {
    const name = readFileSync(`${directory}/comm`, "utf8").trim();
    const runtime = Object.hasOwn(names, name) ? names[name] : undefined;
    if (runtime === undefined) return undefined;
    const program = readlinkSync(`${directory}/exe`).replace(
      / \(deleted\)$/,
      "",
    );
    const argv = readFileSync(`${directory}/cmdline`, "utf8").split("\0");
    return { runtime, pid, program, argv: argv.slice(0, -1) };
  } catch {
    // It ended, or is a kernel thread.
    return undefined;
  }
}

/** The value of an option in Go's notations: `-c x`, `--config x`, `--config=x`. */
export function optionOf(
  { argv }: RuntimeProcess,
  option: RegExp,
): string | undefined {
  for (const [i, word] of argv.entries()) {
    const [name = "", ...value] = word.split("=");
    if (!option.test(name)) continue;
    return value.length > 0 ? value.join("=") : argv[i + 1];
  }
  return undefined;
}

/** Milliseconds. */
const limitMs = 5000;

/** The version of a running program, from a second execution; undefined if it prints none. */
export async function versionOf({
  pid,
  argv: [name = ""],
}: RuntimeProcess): Promise<string | undefined> {
  try {
    // Not by its path: the file may be another version. k3s has several names.
    const child = Bun.spawn([`/proc/${pid}/exe`, "--version"], {
      argv0: name,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
      timeout: limitMs,
      killSignal: "SIGKILL",
    });
    return versionIn(await child.stdout.text());
  } catch {
    return undefined;
  }
}

/** The first version in a text such as `containerd github.com/… v2.1.4 75cb…`. */
export function versionIn(text: string): string | undefined {
  return /\d+\.\d+\.\d+/.exec(text)?.[0];
}
