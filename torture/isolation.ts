/**
 * Runs the torture in mount, process and network namespaces of its own, so that
 * nothing is left on the machine, even after a kill. A shell is their first process,
 * because orphans need a process that collects them.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { genieBinary } from "../tests/support/build.ts";

const marker = "TORTURE_FOLDER";

/** The directory of the isolated process, undefined outside. */
export function isolatedDirectory(): string | undefined {
  return process.env[marker];
}

const prelude = `
mount -t tmpfs -o mode=0700 tmpfs "$TORTURE_FOLDER" || exit 2
mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns || exit 2
ip link set lo up || exit 2
"$@" &
wait $!
`;

/** Runs a script of ours in there; its exit code. Killed after `seconds`. */
export async function isolated(
  script: string,
  args: readonly string[],
  seconds: number,
): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), "genie-torture-"));
  try {
    const child = Bun.spawn({
      cmd: [
        // A kill of the parent kills it too: each of the two ends with its parent.
        "setpriv",
        "--pdeathsig=KILL",
        "unshare",
        "--mount",
        "--pid",
        "--net",
        "--fork",
        "--kill-child=KILL",
        "--mount-proc",
        "sh",
        "-c",
        prelude,
        "sh",
        process.execPath,
        script,
        ...args,
      ],
      // The executable is compiled out here, where its cache is.
      env: {
        ...process.env,
        [marker]: directory,
        TMPDIR: directory,
        GENIE_BINARY: genieBinary(),
      },
      stdio: ["ignore", "inherit", "inherit"],
      timeout: seconds * 1000,
      killSignal: "SIGKILL",
    });
    const exitCode = await child.exited;
    return child.signalCode === null ? exitCode : 3;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Processes in there that are neither the shell nor we nor dead already. */
export async function strangers(): Promise<string[]> {
  const child = Bun.spawn({
    cmd: ["ps", "-eo", "pid=,stat=,args="],
    stdout: "pipe",
  });
  // Its end too: the next look must not see it.
  const [text] = await Promise.all([child.stdout.text(), child.exited]);
  const known = new Set([1, process.pid, child.pid]);
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter(
      (line) =>
        line !== "" &&
        !known.has(Number.parseInt(line, 10)) &&
        !/^\d+ Z/.test(line),
    );
}
