/**
 * Garbage that GC must not delete: that of another genie list, and that of pods whose
 * namespaces it cannot see (state.md "CHECK, GC, STATUS").
 */
import { gc, gcOfOtherList, genieGc } from "../collect.ts";
import type { Victim } from "../victim.ts";
import type { Scene } from "./scene.ts";

/** It was attached by another runtime's list, before genie came: only that list knows it. */
const olderPod = `${"0".repeat(64)}:eth0`;

/** Nothing of another list is deleted, whatever is valid for this one. */
export async function otherList(scene: Scene): Promise<void> {
  await using victim = await scene.victim();
  scene.requireSuccess(await victim.call("ADD"));
  const before = victim.held();
  scene.require(before.length === 3, `ADD holds ${before.join(", ")}`);
  victim.age();
  const { plugins } = scene.node;
  plugins.enterLedger(olderPod);
  await gcOfOtherList(scene.node);
  scene.require(
    plugins.leaveLedger(olderPod),
    "GC of another list took what is older than genie",
  );
  requireUntouched(scene, victim, before, "GC of another list");
  scene.requireSuccess(await victim.call("DEL"));
  scene.requireNothingLeft(victim);
}

/** A record of the last minute may be of a pod that the runtime's list does not have yet. */
export async function youngRecord(scene: Scene): Promise<void> {
  await using victim = await scene.victim();
  scene.requireSuccess(await victim.call("ADD"));
  const before = victim.held();
  scene.requireSuccess(await gc([], scene.node));
  requireUntouched(scene, victim, before, "GC of a young record");
  victim.age();
  scene.requireSuccess(await gc([], scene.node));
  scene.requireNothingLeft(victim);
}

/** In another mount namespace every pod's network namespace looks gone. */
export async function mountNamespace(scene: Scene): Promise<void> {
  await using victim = await scene.victim();
  scene.requireSuccess(await victim.call("ADD"));
  const before = victim.held();
  const { exitCode, text } = await genieGc(scene.node, [
    "unshare",
    "--mount",
    "sh",
    "-c",
    'umount -l /run/netns && exec "$@"',
    "sh",
  ]);
  scene.require(
    exitCode === 1 && text.includes("mount namespace"),
    `genie gc in another mount namespace ends with ${exitCode}: ${text}`,
  );
  requireUntouched(scene, victim, before, "genie gc");
  scene.requireSuccess(await victim.call("DEL"));
  scene.requireNothingLeft(victim);
}

function requireUntouched(
  scene: Scene,
  victim: Victim,
  before: readonly string[],
  who: string,
): void {
  const held = victim.held();
  const lost = before.filter((entry) => !held.includes(entry));
  scene.require(lost.length === 0, `${who} took ${lost.join(", ")}`);
  scene.require(victim.hasRecord(), `${who} deleted a record`);
}
