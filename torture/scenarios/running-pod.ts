/**
 * The networks of a running pod follow its annotations (agent.md "Hot attach and
 * detach"), whatever is killed or fails meanwhile.
 */
import { until } from "../../tests/support/delegate.ts";
import { Agent } from "../agent.ts";
import type { DelegateFault } from "../faults.ts";
import type { Scene } from "./scene.ts";

export async function followedAnnotations(scene: Scene): Promise<void> {
  const { node } = scene;
  const { plugins, api } = node;
  await using victim = await scene.victim({ cni: "canal" });
  const order = (type: string, verb: "ADD" | "DEL", fault: DelegateFault) =>
    plugins.order(victim.containerId, { type, verb, fault, ms: 0 });
  const edit = (others: string[], definitions: string[] = []) =>
    victim.edit({ cni: ["canal", ...others], definitions });
  const requireFollowed = async (when: string): Promise<void> => {
    const left = await victim.disagreements();
    const why = `${left.join("; ")}: ${node.agentLines(victim.pod)}`;
    scene.require(left.length === 0, `${when}: ${why}`);
  };

  edit([]);
  scene.requireSuccess(await victim.call("ADD"));
  const agent = new Agent(node);
  agent.start();
  order("ptp", "ADD", "delegate hangs after its work");
  edit(["weave"]);
  await until(() => victim.links().includes("eth1"), "the interface eth1");
  await agent.disturb("the agent and its genie are killed");
  await requireFollowed("killed in an attach");

  order("macvlan", "ADD", "delegate fails late");
  edit(["weave", "trunk"]);
  await requireFollowed("after a failed attach");

  order("ptp", "DEL", "delegate hangs after its work");
  edit(["trunk"]);
  await until(() => !victim.links().includes("eth1"), "eth1 to go");
  // It is named again before anybody knows that it is gone.
  edit(["trunk", "weave"]);
  await agent.disturb("the agent and its genie are killed");
  await requireFollowed("killed in a detach");

  api.compact();
  edit(["weave"], ["side", "trunk@pod1"]);
  await agent.disturb("the agent is killed");
  await requireFollowed("edited without an agent");

  api.endWatches("destroy");
  edit([]);
  await requireFollowed("edited without a watch");
  await agent.stop();
  scene.requireSuccess(await victim.call("DEL"));
  scene.requireNothingLeft(victim);
}
