/**
 * Plugins whose DEL never succeeds: no pod is stuck, and nothing is forgotten
 * (state.md "Never stuck, never forgotten").
 */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { gc, genieGc } from "../collect.ts";
import type { Victim } from "../victim.ts";
import { type Scene, codeOf } from "./scene.ts";

/** ADD completed: an error at least three times and for `deleteGiveUp`, then success; it is kept, and deleted when the plugin is repaired. */
export async function completedAdd(scene: Scene): Promise<void> {
  await using victim = await scene.victim();
  scene.requireSuccess(await victim.call("ADD"));
  scene.break(victim, "ledger", "DEL");
  const began = performance.now();
  let tries = 0;
  for (; tries < 20; tries++) {
    if ((await victim.call("DEL")).exitCode === 0) break;
    await Bun.sleep(150);
  }
  const ms = performance.now() - began;
  scene.require(tries < 20, "DEL never gives up");
  scene.require(
    tries >= 2 && ms >= 900,
    `DEL gives up after ${tries + 1} tries and ${Math.round(ms)} ms`,
  );
  scene.require(!victim.hasRecord(), "a record is left");
  requireAbandoned(scene, victim);
  scene.requireSuccess(await victim.call("DEL"));
  await requireKeptUntilRepaired(scene, victim, () => genieGc(scene.node));
}

/** ADD never completed: one DEL more, whose failure does not count. */
export async function failedAdd(scene: Scene): Promise<void> {
  await using victim = await scene.victim();
  scene.break(victim, "ledger", "ADD", "delegate fails late");
  scene.break(victim, "ledger", "DEL");
  const { exitCode } = await victim.call("ADD");
  scene.require(exitCode !== 0, "ADD succeeds");
  scene.require(victim.hasRecord(), "what the rollback left has no record");
  scene.requireSuccess(await victim.call("DEL"));
  requireAbandoned(scene, victim);
  await requireKeptUntilRepaired(scene, victim, () => gc([], scene.node));
}

/** Runtimes call DEL a second time: no plugin is executed and nothing logged. */
export async function secondDel(scene: Scene): Promise<void> {
  const logFile = join(scene.directory, "second.log");
  const config = { logFile, log_level: "info" };
  await using victim = await scene.victim({ config });
  scene.requireSuccess(await victim.call("ADD"));
  scene.requireSuccess(await victim.call("DEL"));
  await victim.removeNetns();
  rmSync(logFile);
  const { plugins } = scene.node;
  const before = plugins.executionsOf(victim.containerId).length;
  scene.requireSuccess(await victim.call("DEL"));
  const executed = plugins.executionsOf(victim.containerId).slice(before);
  scene.require(executed.length === 0, `it executes ${executed.join(", ")}`);
  scene.require(!existsSync(logFile), "it logs something");
}

/** Code 3 says that nothing is left to delete: only where that is true. */
export async function code3(scene: Scene): Promise<void> {
  for (const isLeft of [true, false]) {
    await using victim = await scene.victim();
    scene.break(victim, "ledger", "ADD", "delegate fails with code 3");
    if (isLeft) scene.break(victim, "ledger", "DEL");
    const code = codeOf(await victim.call("ADD"));
    const expected = isLeft ? 999 : 3;
    scene.require(code === expected, `code ${String(code)}, not ${expected}`);
    scene.repair(victim);
    scene.requireSuccess(await victim.call("DEL"));
    scene.requireNothingLeft(victim);
  }
}

/** Only attachments that could not be deleted. */
function requireAbandoned(scene: Scene, victim: Victim): void {
  scene.require(
    victim.abandoned().length > 0,
    "what could not be deleted is forgotten",
  );
  const [held, ...more] = victim.held();
  scene.require(
    held === `${victim.containerId}:eth2` && more.length === 0,
    `held, beside what could not be deleted: ${[held, ...more].join(", ")}`,
  );
}

async function requireKeptUntilRepaired(
  scene: Scene,
  victim: Victim,
  collect: () => Promise<{ exitCode: number | null; text: string }>,
): Promise<void> {
  await victim.removeNetns();
  // Its failure fails no GC of the runtime.
  scene.requireSuccess(await gc([], scene.node));
  requireAbandoned(scene, victim);
  scene.repair(victim);
  const { exitCode, text } = await collect();
  scene.require(exitCode === 0, `GC fails: ${text}`);
  scene.requireNothingLeft(victim);
}
