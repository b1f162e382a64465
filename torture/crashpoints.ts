/**
 * Every crash point, one after the other: genie is killed on the entry of each
 * system call that changes something, in one ADD and in one DEL, by strace's
 * fault injection. Then DEL must remove everything, or GC where no DEL comes.
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { genieBinary } from "../tests/support/build.ts";
import { Netns } from "../tests/support/netns.ts";
import { callGenie } from "./calls.ts";
import { type World, annotationsKey } from "./world.ts";

/** What changes the disk, a process, a lock or what the runtime reads. */
const changing =
  "openat,mkdirat,write,renameat,unlinkat,flock,clone,clone3,vfork,memfd_create,fsync,kill";

/** The n-th call of that name by one thread of genie. */
interface CrashPoint {
  call: string;
  n: number;
  /** Its arguments, for messages. */
  what: string;
}

/** Tortures both verbs; what is found goes to the report. Stops when `seconds` are over. */
export async function crashPoints(
  world: World,
  folder: string,
  seconds: number,
): Promise<void> {
  const end = performance.now() + seconds * 1000;
  for (const verb of ["ADD", "DEL"] as const) {
    for (const [i, point] of (await pointsOf(verb, world, folder)).entries()) {
      if (performance.now() > end)
        return world.report.find("not every crash point in time");
      await crash(verb, point, i % 2 === 0 ? "DEL" : "GC", world, folder);
    }
  }
}

class Victim {
  readonly containerId = crypto.randomUUID().replaceAll("-", "").repeat(2);
  readonly netns: Netns;
  readonly #world: World;

  constructor(netns: Netns, world: World) {
    this.netns = netns;
    this.#world = world;
  }

  call(verb: "ADD" | "DEL") {
    const { containerId, netns } = this;
    return callGenie(this.#world, {
      verb,
      containerId,
      netns: netns.path,
      config: this.config(),
    });
  }

  config(): Record<string, unknown> {
    return this.#world.config({
      runtimeConfig: { [annotationsKey]: { cni: "canal,weave,ledger" } },
    });
  }

  /** Under strace, which ends as genie does. */
  async traced(verb: string, options: readonly string[]): Promise<string> {
    const child = Bun.spawn({
      cmd: ["strace", "-qq", ...options, genieBinary()],
      env: {
        PATH: process.env["PATH"] ?? "",
        CNI_COMMAND: verb,
        CNI_CONTAINERID: this.containerId,
        CNI_NETNS: this.netns.path,
        CNI_IFNAME: "eth0",
        CNI_PATH: this.#world.plugins.binDir,
      },
      stdin: new Blob([JSON.stringify(this.config())]),
      stdout: "pipe",
      stderr: "ignore",
      timeout: 20_000,
      killSignal: "SIGKILL",
    });
    const stdout = await child.stdout.text();
    await child.exited;
    return stdout;
  }

  remains(): string[] {
    // A temporary file of the record begins with a dot.
    const own = (text: string) =>
      text.replace(/^\./, "").startsWith(this.containerId);
    return [
      ...this.#world
        .addresses()
        .flatMap(({ file, owner }) => (own(owner) ? [file] : [])),
      ...[
        ...this.#world.plugins.ledger(),
        ...this.#world.records(),
        ...this.#world.locks(),
      ].filter(own),
    ];
  }
}

/** The calls of genie's own threads in an undisturbed run. */
async function pointsOf(
  verb: "ADD" | "DEL",
  world: World,
  folder: string,
): Promise<CrashPoint[]> {
  await using netns = await Netns.create();
  const victim = new Victim(netns, world);
  const output = join(folder, "strace");
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
  folder: string,
): Promise<void> {
  const { report } = world;
  await using netns = await Netns.create();
  const victim = new Victim(netns, world);
  if (verb === "DEL") await victim.call("ADD");
  const output = join(folder, "strace");
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
