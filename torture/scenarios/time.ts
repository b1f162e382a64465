/**
 * Each attachment gets the time that its plugin needs, however many there are
 * (state.md "Time").
 */
import type { Scene } from "./scene.ts";

/** 32 attachments, of which the first three to be deleted take two seconds each: more than the 32nd part of the phase. */
export async function shares(scene: Scene): Promise<void> {
  const slow = Array<string>(3).fill("trunk");
  await using victim = await scene.victim({
    cni: ["canal", ...Array<string>(28).fill("ledger"), ...slow].join(","),
    config: { delegateTimeout: 30 },
  });
  scene.requireSuccess(await victim.call("ADD"));
  scene.break(victim, "macvlan", "DEL", "delegate is slow");
  scene.requireSuccess(await victim.call("DEL"));
  scene.repair(victim);
  scene.requireSuccess(await victim.call("DEL"));
  scene.requireNothingLeft(victim);
}
