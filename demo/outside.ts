/**
 * Two networks with default routes: the pod in both of them sends by the first, and a
 * host outside reaches the pod on each address.
 */
import { $ } from "bun";
import { Netns } from "../tests/support/netns.ts";
import { pingedBy } from "../tests/support/traffic.ts";
import { type Attached, expectEqual } from "./attach.ts";
import type { Report } from "./report.ts";

const gateway = "10.33.0.1";
const host = "10.33.0.9";

export async function reachFromOutside(
  attached: readonly Attached[],
  report: Report,
): Promise<void> {
  await using outside = await report.step(
    "a host is outside of both networks, and the node forwards",
    startHost,
    () => host,
  );
  for (const { pod, netns, interfaces } of attached) {
    if (interfaces.length < 2) continue;
    const [first] = interfaces;
    await report.step(
      `${pod.name} reaches the host by ${first?.name}, the primary`,
      async () => expectEqual(await pingedBy(netns, netns, host), first?.name),
    );
    for (const { name, address } of interfaces) {
      await report.step(
        `the host pings ${address} of ${pod.name}: the reply leaves by ${name}`,
        async () => expectEqual(await pingedBy(netns, outside, address), name),
      );
    }
    const rules = await report.step(
      "a rule selects a table of its own for the second address",
      () => netns.ip("rule show priority 1000"),
    );
    const routes = await netns.ip("route show table 1000");
    for (const line of `${rules}${routes}`.trim().split("\n"))
      report.note(line.replaceAll("\t", " ").trim());
  }
}

/** A namespace beside the node's, which is its gateway. */
async function startHost(): Promise<Netns> {
  const outside = await Netns.create();
  await Bun.write("/proc/sys/net/ipv4/ip_forward", "1");
  await $`ip link add out0 type veth peer name out1 netns ${outside.name}`.quiet();
  await $`ip addr add ${gateway}/24 dev out0`.quiet();
  await $`ip link set out0 up`.quiet();
  await outside.run("ip", "addr", "add", `${host}/24`, "dev", "out1");
  await outside.ip("link set out1 up");
  await outside.run("ip", "route", "add", "default", "via", gateway);
  return outside;
}
