/**
 * The container runtimes of a node: the installed ones by their files, the running ones
 * from /proc (programs of PATH and files in /etc may belong to another runtime).
 */
import { existsSync, readFileSync, readdirSync, readlinkSync } from "node:fs";
import type { Host } from "./host.ts";

const runtimes = ["containerd", "crio"] as const;

export type Runtime = (typeof runtimes)[number];

const traces: Readonly<Record<Runtime, readonly string[]>> = {
  containerd: [
    "/run/containerd/containerd.sock",
    "/var/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
  ],
  crio: [
    "/run/crio/crio.sock",
    "/var/run/crio/crio.sock",
    "/etc/crio/crio.conf",
    "/etc/crio/crio.conf.d",
  ],
};

/** The installed runtimes, in this order. */
export function runtimesOf(host: Host): Runtime[] {
  return runtimes.filter((runtime) =>
    traces[runtime].some((path) => existsSync(host.path(path))),
  );
}

export interface RuntimeProcess {
  runtime: Runtime;
  pid: number;
  /** Its executable, even if the file was replaced. */
  program: string;
  argv: readonly string[];
}

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
    // `containerd-shim` is another program.
    const name = readFileSync(`${directory}/comm`, "utf8").trim();
    const runtime = runtimes.find((one) => one === name);
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

/** The version of a running program, from a second execution; undefined if it prints none. */
export function versionOf({
  pid,
  argv,
}: RuntimeProcess): Promise<string | undefined> {
  // The file at its path may be another version; k3s has several names.
  return printedVersion(`/proc/${pid}/exe`, argv[0]);
}

/** The first version in an output such as `containerd github.com/… v2.1.4 75cb…`. */
export async function printedVersion(
  program: string,
  argv0 = program,
): Promise<string | undefined> {
  try {
    const child = Bun.spawn([program, "--version"], {
      argv0,
      stdin: "ignore",
      stderr: "ignore",
      timeout: 5000,
      killSignal: "SIGKILL",
    });
    return /\d+\.\d+\.\d+/.exec(await child.stdout.text())?.[0];
  } catch {
    return undefined;
  }
}
