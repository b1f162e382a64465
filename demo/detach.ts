/**
 * DEL for each pod under difficult conditions: no API server, no configuration of the
 * networks, and a second DEL. Then the demo counts leftovers itself, without genie.
 */
import { $ } from "bun";
import { type Attached, expectEqual, requireSuccess } from "./attach.ts";
import { mapping } from "./networks.ts";
import type { Node } from "./node.ts";
import type { Report } from "./report.ts";

export async function detachPods(
  node: Node,
  attached: readonly Attached[],
  report: Report,
): Promise<void> {
  await report.step(
    "the API server is stopped and the networks' files are removed",
    async () => {
      await node.api.stop();
      node.forgetNetworks();
    },
  );
  for (const sandbox of attached) {
    const { pod, interfaces } = sandbox;
    const began = performance.now();
    await report.step(
      `pod ${pod.name} loses ${interfaces.map(({ name }) => name).join(" and ")}`,
      async () => {
        requireSuccess(await node.call("DEL", sandbox));
        const ms = performance.now() - began;
        expectEqual(await sandbox.netns.links(), []);
        const rules = await sandbox.netns.ip("rule");
        expectEqual(rules.includes("lookup 1000"), false);
        return ms;
      },
      (ms) => `${ms.toFixed(0)} ms`,
    );
  }
  await report.step(
    "a second DEL of each, without namespace, succeeds",
    async () => {
      for (const sandbox of attached)
        requireSuccess(await node.call("DEL", sandbox, ""));
    },
  );
  await report.step("no address, no record and no lock is left", () => {
    expectEqual(node.leftOver(), []);
  });
  await report.step("no interface of a pod is left on the node", async () => {
    expectEqual(await $`ip -json link show type veth`.quiet().json(), []);
  });
  if (!node.forwarding.possible) return;
  await report.step("no rule forwards the port", async () => {
    const rules = await $`iptables -w -t nat -S`.quiet().text();
    expectEqual(
      rules
        .split("\n")
        .filter((rule) => rule.includes(String(mapping.hostPort))),
      [],
    );
  });
}
