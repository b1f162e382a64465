/**
 * The container runtimes that run on this machine, from /proc: the first program
 * of PATH and the files in /etc may belong to another one than the one that
 * creates pods.
 */
import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import type { Runtime } from "./runtime.ts";

export interface RuntimeProcess {
  runtime: Runtime;
  pid: number;
  /** The program that it executes, also where the file has been replaced since. */
  program: string;
  argv: readonly string[];
}

/** By the name that the kernel has of each; `containerd-shim` is another one. */
const names: Readonly<Record<string, Runtime>> = {
  containerd: "containerd",
  crio: "crio",
};

/** In the order of their pids. `proc` is a parameter for tests. */
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
    // It ended, or is a thread of the kernel.
    return undefined;
  }
}

/** The value of an option, as Go programs take it: `-c x`, `--config x`, `--config=x`. */
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

/** Of the program that runs, by executing it once more; undefined when that says nothing. */
export async function versionOf({
  pid,
  argv: [name = ""],
}: RuntimeProcess): Promise<string | undefined> {
  try {
    // Not by its path: the file may be another version by now. One program may have several names (k3s).
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

/** The first version of a text such as `containerd github.com/… v2.1.4 75cb…`. */
export function versionIn(text: string): string | undefined {
  return /\d+\.\d+\.\d+/.exec(text)?.[0];
}
