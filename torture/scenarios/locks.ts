/** Failing locks, and orphans that own a lock (state.md "Processes and locks"). */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { isRunning } from "../../tests/support/delegate.ts";
import { strangers } from "../isolation.ts";
import type { Scene } from "./scene.ts";

/** A file system without locks is an error that names its errno, at once, and nothing is executed. */
export async function failingLock(scene: Scene): Promise<void> {
  for (const verb of ["ADD", "DEL"] as const) {
    await using victim = await scene.victim({ cni: "ledger" });
    if (verb === "DEL") scene.requireSuccess(await victim.call("ADD"));
    const { plugins } = scene.node;
    const before = plugins.executionsOf(victim.containerId).length;
    const began = performance.now();
    const { text } = await victim.traced(verb, [
      "-o",
      "/dev/null",
      "-e",
      "inject=flock:error=ENOLCK",
    ]);
    const ms = Math.round(performance.now() - began);
    scene.require(
      text.includes("ENOLCK") && text.includes('"code":5'),
      `${verb} without locks says ${text || "nothing"}`,
    );
    scene.require(ms < 5000, `${verb} without locks takes ${ms} ms`);
    scene.require(
      plugins.executionsOf(victim.containerId).length === before,
      `${verb} without locks executes a plugin`,
    );
    scene.requireSuccess(await victim.call("DEL"));
    scene.requireNothingLeft(victim);
  }
}

/** genie kills the orphan that owns the lock; a reader of the lock file survives. */
export async function lockReader(scene: Scene): Promise<void> {
  const { node } = scene;
  await using victim = await scene.victim({ cni: "ledger" });
  scene.break(victim, "ledger", "ADD", "delegate hangs before its work");
  // Killed while its plugin hangs: the plugin has the lock now.
  await victim.killed("ADD", () =>
    node.plugins.executionsOf(victim.containerId).includes("ADD ledger"),
  );
  const lock = join(node.dataDir, "locks", victim.containerId);
  const reader = Bun.spawn({
    cmd: ["setsid", "sleep", "60"],
    stdio: ["ignore", "ignore", "ignore", Bun.file(lock)],
  });
  try {
    scene.repair(victim);
    scene.requireSuccess(await victim.call("DEL"));
    scene.require(
      isRunning(reader.pid),
      "a reader of the lock's file is killed",
    );
  } finally {
    reader.kill("SIGKILL");
    await reader.exited;
  }
  scene.requireNothingLeft(victim);
}

/** An orphan of a genie that was killed on a read-only disk is killed once the disk is writable, whatever it has locked. */
export async function readOnlyOrphan(scene: Scene): Promise<void> {
  const { node } = scene;
  for (const hasFile of [true, false]) {
    await using victim = await scene.victim({ cni: "ledger" });
    scene.requireSuccess(await victim.call("ADD"));
    if (hasFile)
      writeFileSync(join(node.dataDir, "locks", victim.containerId), "");
    const repair = await node.breakDisk("dataDir read-only");
    scene.break(victim, "ledger", "DEL", "delegate hangs before its work");
    await victim.killed("DEL", () =>
      node.plugins.executionsOf(victim.containerId).includes("DEL ledger"),
    );
    await repair();
    scene.repair(victim);
    const began = performance.now();
    scene.requireSuccess(await victim.call("DEL"));
    const ms = Math.round(performance.now() - began);
    scene.require(ms < 5000, `DEL waits ${ms} ms for an orphan`);
    scene.requireNothingLeft(victim);
    const orphans = (await strangers()).filter((one) => one.includes("sleep"));
    scene.require(orphans.length === 0, `left: ${orphans.join(", ")}`);
  }
}
