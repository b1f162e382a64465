/**
 * Many running pods whose annotations are edited at once, by the compiled executable and
 * its agent, with real plugins (agent.md "Hot attach and detach").
 */
import { afterAll, expect, test } from "bun:test";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { RunningAgent } from "../support/agent.ts";
import type { StoredObject } from "../support/api-objects.ts";
import { genieBinary } from "../support/build.ts";
import { removeCerts } from "../support/certs.ts";
import { Cluster, networksKey, statusKey } from "../support/cluster.ts";
import { until } from "../support/delegate.ts";
import { configure } from "../support/hot-cluster.ts";
import type { Pod } from "../support/node.ts";

afterAll(removeCerts);

const count = 100;

test(`${count} pods, half gain a network and half lose one: each converges with one PATCH, and no address leaks`, async () => {
  await using cluster = await Cluster.start();
  const { node, api } = cluster;
  configure(cluster);
  symlinkSync(genieBinary(), join(node.binDir, "genie"));
  node.plugin("plain", `#!/bin/sh\nprintf '{"cniVersion":"1.0.0"}'\n`);
  node.network("05-plain.conf", {
    cniVersion: "1.0.0",
    name: "plain-net",
    type: "plain",
  });
  // It has no host end: quick.
  const ipam = node.ipam("10.30.0.0/24");
  cluster.define("lan", {
    cniVersion: "1.0.0",
    type: "macvlan",
    master: "up0",
    ipam,
  });
  const pods = await Promise.all(
    Array.from({ length: count }, (_, i) => node.pod(`pod-${i}`)),
  );
  const losing = new Set(pods.filter((_, i) => i % 2 === 0));
  const edit = (pod: Pod, hasNetwork: boolean) => {
    const { name, namespace, uid } = pod;
    const status = statusOf(api.pods.get(namespace, name));
    api.pods.put({
      metadata: {
        name,
        namespace,
        uid,
        annotations: {
          ...(status !== undefined && { [statusKey]: status }),
          ...(hasNetwork && { [networksKey]: "lan" }),
        },
      },
      spec: { nodeName: "node1" },
      status: { phase: "Running" },
    });
  };
  for (const pod of pods) edit(pod, losing.has(pod));
  for (let i = 0; i < count; i += 4)
    await Promise.all(pods.slice(i, i + 4).map((pod) => cluster.add(pod)));
  await using agent = new RunningAgent(node, "--attach");
  await agent.said("the agent starts");
  await until(() => api.watches > 0, "its watch");

  const before = api.requests.length;
  for (const pod of pods) edit(pod, !losing.has(pod));
  const told = () =>
    pods.map((pod) => {
      const text = statusOf(api.pods.get(pod.namespace, pod.name));
      return JSON.parse(text ?? "[]") as Interface[];
    });
  const expected = pods.map((pod) =>
    losing.has(pod) ? ["eth0"] : ["eth0", "net1"],
  );
  const interfaces = () =>
    told().map((status) => status.map((one) => one.interface));
  const end = performance.now() + 50_000;
  while (!Bun.deepEquals(interfaces(), expected) && performance.now() < end)
    await Bun.sleep(50);
  expect(interfaces()).toEqual(expected);
  const addresses = told().flatMap(([, net1]) => net1?.ips ?? []);
  expect(node.addresses()).toEqual(addresses.toSorted());
  expect(new Set(addresses).size).toBe(count / 2);
  const inside = await Promise.all(pods.map(({ netns }) => netns.links()));
  // The default network has no interface here.
  expect(inside.map((links) => links.map(({ name }) => name))).toEqual(
    expected.map((names) => names.slice(1)),
  );
  const patched = api.requests
    .slice(before)
    .filter(({ method }) => method === "PATCH")
    .map(({ path, status }) => `${status} ${path.split("/").at(-2)}`);
  expect(patched.toSorted()).toEqual(
    pods.map(({ name }) => `200 ${name}`).toSorted(),
  );
  const changes = agent.log
    .filter(({ part }) => part === "attach")
    .map(({ pod, msg, ifname }) => `${String(pod)} ${msg} ${String(ifname)}`);
  expect(changes.toSorted()).toEqual(
    pods
      .map((pod) => {
        const change = losing.has(pod) ? "detached" : "attached";
        return `shop/${pod.name} ${change} net1`;
      })
      .toSorted(),
  );
}, 60_000);

interface Interface {
  interface: string;
  ips: string[];
}

function statusOf(pod: StoredObject | undefined): string | undefined {
  return pod?.metadata.annotations?.[statusKey];
}
