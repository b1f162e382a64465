/**
 * A control group with a limit of memory, version 1 or 2, for the processes that
 * enter it by themselves: the bench stays outside, for the kernel would rather
 * kill it than the small ones.
 */
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Command } from "./child.ts";

export interface MemoryGroup extends Disposable {
  /** Whose. */
  name: string;
  /** The same command, from within the group: a shell enters, then becomes it. */
  within(command: Command): Command;
  /** The most that all of them used at once. */
  peakMiB(): number;
}

interface Version {
  /** The parent of new groups; there when the version is. */
  parent: string;
  limit: string;
  /** Kills processes that need more; no swap. */
  swap: string;
  peak: string;
}

const versions: readonly Version[] = [
  {
    parent: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    swap: "memory.memsw.limit_in_bytes",
    peak: "memory.max_usage_in_bytes",
  },
  {
    parent: "/sys/fs/cgroup",
    limit: "memory.max",
    swap: "memory.swap.max",
    peak: "memory.peak",
  },
];

const script = 'echo $$ >"$1"; shift; exec "$@"';

/** The group, or why there is none. */
export function makeMemoryGroup(
  limitMiB: number,
  name: string,
): MemoryGroup | { missing: string } {
  const version = versions.find(({ parent, limit }) =>
    [limit, "cgroup.subtree_control"].some((file) =>
      existsSync(join(parent, file)),
    ),
  );
  if (!version) return { missing: "no memory controller" };
  const group = join(
    version.parent,
    `genie-bench-${process.pid}-${name.replaceAll(" ", "-")}`,
  );
  try {
    mkdirSync(group);
    writeFileSync(join(group, version.limit), `${limitMiB * 2 ** 20}`);
  } catch (error) {
    if (existsSync(group)) rmdirSync(group);
    return { missing: `no group could be made: ${String(error)}` };
  }
  const swap = join(group, version.swap);
  if (existsSync(swap)) {
    // Version 1 counts memory and swap together, version 2 the swap alone.
    const both = version.swap.includes("memsw");
    writeFileSync(swap, both ? `${limitMiB * 2 ** 20}` : "0");
  }
  const processes = join(group, "cgroup.procs");
  return {
    name,
    within: (command) => ({
      ...command,
      argv: ["/bin/sh", "-c", script, "sh", processes, ...command.argv],
    }),
    peakMiB: () =>
      Number(readFileSync(join(group, version.peak), "utf8")) / 2 ** 20,
    [Symbol.dispose]: () => rmdirSync(group),
  };
}
