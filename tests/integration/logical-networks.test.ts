/**
 * CNI-Genie's logical networks (selection.md §9): the objects of its samples, attached
 * by the compiled executable to real networks.
 */
import { describe, expect, test } from "bun:test";
import { statusFault } from "../support/api-faults.ts";
import { nothing } from "../support/node.ts";
import {
  Cluster,
  addresses,
  defaultKey,
  networksKey,
} from "../support/cluster.ts";

/** Its samples: net1 of a dedicated physical network, net2 of a shared one. */
const samples = {
  logicalNetworks: {
    net1: { physicalNet: "phynet1", sub_subnet: "10.32.0.0/24" },
    net2: {
      physicalNet: "phynet2",
      plugin: "flannel",
      sub_subnet: "10.244.0.0/24",
    },
    // Not of the samples.
    uplink: { physicalNet: "phynet2", plugin: "lan" },
    lost: { physicalNet: "nowhere", plugin: "lan" },
    alone: { plugin: "weave" },
  },
  physicalNetworks: {
    phynet1: {
      refer_nic: "eth0",
      sharedStatus: {
        dedicatedNet: true,
        plugin: "weave",
        subnet: "10.32.0.0/16",
      },
    },
    phynet2: { refer_nic: "up0", sharedStaus: { dedicatedNet: false } },
  },
} as const;

async function start(): Promise<Cluster> {
  const cluster = await Cluster.start();
  const { node, api } = cluster;
  for (const kind of ["logicalNetworks", "physicalNetworks"] as const)
    for (const [name, spec] of Object.entries(samples[kind]))
      api[kind].put({ metadata: { name, namespace: "shop" }, spec });
  node.network("20-weave.conf", {
    cniVersion: "1.0.0",
    name: "weave-net",
    type: "bridge",
    bridge: "weave",
    ipam: node.ipam("10.99.0.0/16"),
  });
  node.network("30-flannel.conflist", {
    cniVersion: "1.0.0",
    name: "cbr0",
    plugins: [
      { type: "ptp", ipam: node.ipam("10.98.0.0/16") },
      { type: "tuning" },
    ],
  });
  node.network("40-lan.conf", {
    cniVersion: "1.0.0",
    name: "lan",
    type: "macvlan",
    ipam: node.ipam("10.97.0.0/24"),
  });
  return cluster;
}

describe("logical networks", () => {
  test("of the samples: subnets, interfaces, the requests, and all of it deleted", async () => {
    await using cluster = await start();
    const pod = await cluster.pod({ cni: "", networks: "net1@eth0,net2@eth4" });
    await cluster.add(pod);
    expect(await addresses(pod)).toEqual({
      eth0: ["10.32.0.2/24"],
      eth4: [expect.stringMatching(/^10\.244\.0\.2\//)],
    });
    expect(cluster.requests().toSorted()).toEqual([
      "GET shop/logicalnetworks/net1",
      "GET shop/logicalnetworks/net2",
      "GET shop/physicalnetworks/phynet1",
      "GET shop/physicalnetworks/phynet2",
      "GET shop/pods/web",
      "PATCH shop/pods/web/status",
    ]);
    expect(cluster.written().status).toMatchObject([
      { name: "weave-net", interface: "eth0" },
      { name: "cbr0", interface: "eth4" },
    ]);
    // DEL needs neither the objects nor the API server.
    await cluster.api.stop();
    await cluster.node.succeed("DEL", pod);
    expect(await cluster.node.remains()).toEqual(nothing);
  });

  test("refer_nic is the master of a macvlan without one; a single network is not reported", async () => {
    await using cluster = await start();
    const pod = await cluster.pod({ cni: " ", networks: " uplink " });
    await cluster.add(pod);
    expect(await addresses(pod)).toEqual({ eth0: ["10.97.0.2/24"] });
    expect(cluster.written()).toEqual({});
  });

  test("the same one twice: each object is read once", async () => {
    await using cluster = await start();
    const pod = await cluster.pod({ cni: "", networks: "net1,net1" });
    await cluster.add(pod);
    expect(Object.keys(await addresses(pod))).toEqual(["eth0", "eth1"]);
    expect(
      cluster.requests().filter((one) => one.includes("networks/")),
    ).toEqual([
      "GET shop/logicalnetworks/net1",
      "GET shop/physicalnetworks/phynet1",
    ]);
  });

  test("without a physical network: the node's network as it is", async () => {
    await using cluster = await start();
    const pod = await cluster.pod({ cni: "", networks: "alone" });
    await cluster.add(pod);
    expect(await addresses(pod)).toEqual({ eth0: ["10.99.0.2/16"] });
  });

  test("one that may not be read: 11", async () => {
    await using cluster = await start();
    cluster.api.inject({
      ...statusFault(403),
      match: ({ path }) => path.includes("logicalnetworks"),
    });
    const pod = await cluster.pod({ cni: "", networks: "net1" });
    expect(await cluster.refuse(pod)).toMatchObject({ code: 11 });
  });

  test("NPWG networks beside it are added", async () => {
    await using cluster = await start();
    const { node } = cluster;
    const type = "bridge";
    cluster.define("side", { type, ipam: node.ipam("10.96.0.0/24") });
    const networks = { networks: "net1", [networksKey]: "side" };
    const pod = await cluster.pod({ cni: "", ...networks });
    await cluster.add(pod);
    expect(await addresses(pod)).toEqual({
      eth0: ["10.32.0.2/24"],
      net1: ["10.96.0.2/24"],
    });
  });

  test.each<[annotations: Record<string, string>, code: number, msg: RegExp]>([
    [
      { networks: "net1,none" },
      7,
      /^failed to get logical network "shop\/none": /,
    ],
    [
      { networks: "none", [networksKey]: "side" },
      7,
      /^failed to get logical network "shop\/none": /,
    ],
    [
      { networks: "lost" },
      7,
      /^failed to get physical network "shop\/nowhere": /,
    ],
    [
      { networks: "net1,," },
      7,
      /^failed to parse annotation "networks" "net1,,": element 2: empty network name$/,
    ],
    [{ networks: "net1", [defaultKey]: "x" }, 7, /exclude each other$/],
  ])("%j: error %p, nothing is executed", async (annotations, code, msg) => {
    await using cluster = await start();
    const pod = await cluster.pod({ cni: "", ...annotations });
    const failure = await cluster.refuse(pod);
    expect(failure).toMatchObject({ code, msg: expect.stringMatching(msg) });
    expect(await cluster.node.remains()).toEqual(nothing);
  });
});
