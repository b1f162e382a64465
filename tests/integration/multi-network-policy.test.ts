/**
 * Policies on secondary networks: the implementations of MultiNetworkPolicy find the
 * interfaces of a pod by what genie writes to its status (docs/network-policy.md).
 */
import { describe, expect, test } from "bun:test";
import { Cluster, networksKey } from "../support/cluster.ts";
import {
  type PolicyView,
  byIptables,
  byNftables,
} from "../support/multi-network-policy.ts";

const plugins = ["bridge", "macvlan", "ptp"];
const rules = [
  ["nftables", byNftables],
  ["iptables", byIptables],
] as const;

/** The network weave of the node is `weave-net`, of type ptp. */
async function viewOf(
  annotations: Record<string, string>,
): Promise<{ view: PolicyView; weave: string }> {
  await using cluster = await Cluster.start();
  const { node, api } = cluster;
  const macvlan = (subnet: string) => ({
    cniVersion: "1.0.0",
    type: "macvlan",
    master: "up0",
    ipam: node.ipam(subnet),
  });
  const weave = JSON.stringify({
    cniVersion: "0.4.0",
    name: "weave-net",
    type: "ptp",
    ipam: node.ipam("10.67.0.0/24"),
  });
  const configs = {
    "shop/storage": JSON.stringify(macvlan("10.31.0.0/24")),
    "shared/backup": JSON.stringify({
      cniVersion: "1.0.0",
      plugins: [macvlan("10.33.0.0/24"), { type: "tuning" }],
    }),
    "shop/weave-net": "",
    "shared/weave-net": weave,
  };
  for (const [path, config] of Object.entries(configs))
    cluster.define(path.replace("shop/", ""), config);
  const pod = await cluster.pod(annotations);
  await cluster.add(pod);
  const written = api.pods.get(pod.namespace, pod.name)?.metadata.annotations;
  const files = { "weave-net": "ptp" };
  return {
    weave,
    view: {
      namespace: pod.namespace,
      annotations: written ?? {},
      definitions: configs,
      plugins,
      files,
    },
  };
}

describe.each(rules)("%s", (_, interfaces) => {
  test.each<[networks: string]>([
    ["storage,shared/backup@san0"],
    [
      '[{"name":"storage"},{"name":"backup","namespace":"shared","interface":"san0"}]',
    ],
  ])("definitions that %s adds are found by their names", async (networks) => {
    const { view } = await viewOf({ cni: "canal", [networksKey]: networks });
    const storage = { interface: "net1", ips: ["10.31.0.2"] };
    const backup = { interface: "san0", ips: ["10.33.0.2"] };
    expect(interfaces(view, "storage")).toEqual([storage]);
    expect(interfaces(view, "shared/backup")).toEqual([backup]);
    expect(interfaces(view, " storage, shared/backup ")).toEqual([
      storage,
      backup,
    ]);
    expect(interfaces(view, "backup")).toEqual([]);
  });

  test("a network that cni chooses has no definition and is not found", async () => {
    const { view } = await viewOf({ cni: "canal,weave" });
    for (const name of ["weave", "weave-net", "shop/weave-net", "canal-net"])
      expect(interfaces(view, name)).toEqual([]);
  });

  test("a definition with the network's configuration gives it one", async () => {
    const { view } = await viewOf({
      cni: "canal",
      [networksKey]: "shared/weave-net@eth1",
    });
    expect(interfaces(view, "shared/weave-net")).toEqual([
      { interface: "eth1", ips: ["10.67.0.2"] },
    ]);
  });
});

test("an empty definition named like the network: iptables reads its type from the node's file, nftables needs spec.config", async () => {
  const { view, weave } = await viewOf({
    cni: "canal",
    [networksKey]: "weave-net@eth1",
  });
  const found = [{ interface: "eth1", ips: ["10.67.0.2"] }];
  expect(byIptables(view, "weave-net")).toEqual(found);
  expect(byNftables(view, "weave-net")).toEqual([]);
  const definitions = { ...view.definitions, "shop/weave-net": weave };
  expect(byNftables({ ...view, definitions }, "weave-net")).toEqual(found);
});
