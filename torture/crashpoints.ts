/**
 * All crash points: strace kills genie at the entry of each system call that changes
 * something, in one ADD, one DEL, and one `genie attach` and `genie detach` of a running
 * pod. Then DEL must remove everything, or GC if no DEL comes; a command is repeated
 * before DEL, too.
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { callGenie } from "./calls.ts";
import { type Operation, Victim } from "./victim.ts";
import type { TorturedNode } from "./tortured-node.ts";

/** Calls that change the disk, a process, a lock or the output. */
const changing =
  "openat,mkdirat,write,renameat,unlinkat,flock,clone,clone3,vfork,fsync,kill";

/** The n-th call of that name by one thread of genie. */
interface CrashPoint {
  call: string;
  n: number;
  /** Its arguments, for messages. */
  what: string;
}

/** The networks of the pod, and whether they are there before. */
const operations = {
  ADD: { cni: "canal,weave,ledger", isAdded: false },
  DEL: { cni: "canal,weave,ledger", isAdded: true },
  attach: { cni: "canal", isAdded: true },
  detach: { cni: "canal,weave", isAdded: true },
} as const satisfies Record<Operation, object>;

/** The calls after the kill, in turn. */
const cleanups = {
  ADD: ["DEL", "GC"],
  DEL: ["DEL", "GC"],
  attach: ["DEL", "GC", "attach"],
  detach: ["DEL", "GC", "detach"],
} as const satisfies Record<Operation, readonly (Operation | "GC")[]>;

async function victimOf(
  operation: Operation,
  node: TorturedNode,
): Promise<Victim> {
  const { cni, isAdded } = operations[operation];
  const victim = await Victim.create(node, { cni });
  if (isAdded) await victim.call("ADD");
  return victim;
}

/** Tortures all operations and reports findings. Stops after `seconds`. */
export async function crashPoints(
  node: TorturedNode,
  directory: string,
  seconds: number,
): Promise<void> {
  const end = performance.now() + seconds * 1000;
  for (const operation of Object.keys(operations) as Operation[]) {
    const points = await pointsOf(operation, node, directory);
    const all = cleanups[operation];
    for (const [i, point] of points.entries()) {
      if (performance.now() > end)
        return node.report.find("not every crash point in time");
      const by = all[i % all.length] ?? "DEL";
      await crash(operation, point, by, node, directory);
    }
  }
}

/** The calls of genie's own threads in an undisturbed run. */
async function pointsOf(
  operation: Operation,
  node: TorturedNode,
  directory: string,
): Promise<CrashPoint[]> {
  await using victim = await victimOf(operation, node);
  const output = join(directory, "strace");
  await victim.traced(operation, ["-o", output, "-e", `trace=${changing}`]);
  if (operation !== "DEL") await victim.call("DEL");
  const counts = new Map<string, number>();
  const points: CrashPoint[] = [];
  for (const line of readFileSync(output, "utf8").split("\n")) {
    const call = /^(\w+)\(/.exec(line)?.[1];
    if (call === undefined) continue;
    const n = (counts.get(call) ?? 0) + 1;
    counts.set(call, n);
    const isChange = call !== "openat" || line.includes("O_CREAT");
    // A write to the log changes nothing of the pod.
    const isLog = line.includes('"{\\"time\\"') || line.includes(node.logFile);
    if (isChange && !isLog) points.push({ call, n, what: line.slice(0, 120) });
  }
  rmSync(output);
  // fsync waits in a thread of its own, which has its own count.
  return operation === "ADD"
    ? [...points, { call: "fsync", n: 1, what: "fsync, in another thread" }]
    : points;
}

async function crash(
  operation: Operation,
  point: CrashPoint,
  by: Operation | "GC",
  node: TorturedNode,
  directory: string,
): Promise<void> {
  const { report } = node;
  await using victim = await victimOf(operation, node);
  const output = join(directory, "strace");
  const threads = point.call === "fsync" ? ["-f"] : [];
  await victim.traced(operation, [
    ...threads,
    "-o",
    output,
    "-e",
    `inject=${point.call}:signal=KILL:when=${point.n}`,
  ]);
  const killed =
    existsSync(output) &&
    readFileSync(output, "utf8").includes("killed by SIGKILL");
  report.count(
    "crash points",
    `${operation} ${killed ? "killed" : "not reached"}: ${point.call}`,
  );
  if (killed)
    report.count("faults", `SIGKILL at a system call of ${operation}`);
  rmSync(output, { force: true });
  if (by === "GC") victim.age();
  const failures: string[] = [];
  if (by === operation && by !== "DEL") {
    const { exitCode, text } = await victim.run(by);
    if (exitCode !== 0) failures.push(`${by} again fails: ${text}`);
  }
  const { exitCode, text } =
    by === "GC"
      ? await callGenie(node, {
          verb: "GC",
          config: node.config({ "cni.dev/valid-attachments": [] }),
        })
      : await victim.call("DEL");
  if (exitCode !== 0) failures.push(text);
  failures.push(...victim.remains());
  if (failures.length > 0) {
    report.find(
      `${operation} killed at ${point.call} ${point.n} (${point.what}), then ${by}: ${failures.join(", ")}`,
    );
  }
  if (by === "GC") await victim.call("DEL");
}
