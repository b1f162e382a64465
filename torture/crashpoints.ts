/**
 * All crash points: strace kills genie at the entry of each system call that changes
 * something, in one ADD and in one DEL. Then DEL must remove everything, or GC if no
 * DEL comes.
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { callGenie } from "./calls.ts";
import { Victim } from "./victim.ts";
import type { World } from "./world.ts";

/** Calls that change the disk, a process, a lock or the output. */
const changing =
  "openat,mkdirat,write,renameat,unlinkat,flock,clone,clone3,vfork,memfd_create,fsync,kill";

/** The n-th call of that name by one thread of genie. */
interface CrashPoint {
  call: string;
  n: number;
  /** Its arguments, for messages. */
  what: string;
}

/** Tortures both verbs and reports findings. Stops after `seconds`. */
export async function crashPoints(
  world: World,
  directory: string,
  seconds: number,
): Promise<void> {
  const end = performance.now() + seconds * 1000;
  for (const verb of ["ADD", "DEL"] as const) {
    for (const [i, point] of (
      await pointsOf(verb, world, directory)
    ).entries()) {
      if (performance.now() > end)
        return world.report.find("not every crash point in time");
      await crash(verb, point, i % 2 === 0 ? "DEL" : "GC", world, directory);
    }
  }
}

/** The calls of genie's own threads in an undisturbed run. */
async function pointsOf(
  verb: "ADD" | "DEL",
  world: World,
  directory: string,
): Promise<CrashPoint[]> {
  await using victim = await Victim.create(world);
  const output = join(directory, "strace");
  if (verb === "DEL") await victim.call("ADD");
  await victim.traced(verb, ["-o", output, "-e", `trace=${changing}`]);
  if (verb === "ADD") await victim.call("DEL");
  const counts = new Map<string, number>();
  const points: CrashPoint[] = [];
  for (const line of readFileSync(output, "utf8").split("\n")) {
    const call = /^(\w+)\(/.exec(line)?.[1];
    if (call === undefined) continue;
    const n = (counts.get(call) ?? 0) + 1;
    counts.set(call, n);
    if (call !== "openat" || line.includes("O_CREAT"))
      points.push({ call, n, what: line.slice(0, 120) });
  }
  rmSync(output);
  // fsync waits in a thread of its own, which has its own count.
  return verb === "ADD"
    ? [...points, { call: "fsync", n: 1, what: "fsync, in another thread" }]
    : points;
}

async function crash(
  verb: "ADD" | "DEL",
  point: CrashPoint,
  by: "DEL" | "GC",
  world: World,
  directory: string,
): Promise<void> {
  const { report } = world;
  await using victim = await Victim.create(world);
  if (verb === "DEL") await victim.call("ADD");
  const output = join(directory, "strace");
  const threads = point.call === "fsync" ? ["-f"] : [];
  await victim.traced(verb, [
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
    `${verb} ${killed ? "killed" : "not reached"}: ${point.call}`,
  );
  if (killed) report.count("faults", `SIGKILL at a system call of ${verb}`);
  rmSync(output, { force: true });
  if (by === "GC") victim.age();
  const answer =
    by === "DEL"
      ? await victim.call("DEL")
      : await callGenie(world, {
          verb: "GC",
          config: world.config({ "cni.dev/valid-attachments": [] }),
        });
  const left = victim.remains();
  if (answer.exitCode !== 0 || left.length > 0) {
    report.find(
      `${verb} killed at ${point.call} ${point.n} (${point.what}), then ${by}: ${answer.text} ${left.join(", ")}`,
    );
  }
  if (by === "GC") await victim.call("DEL");
}
