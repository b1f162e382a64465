/**
 * `k8s.v1.cni.cncf.io/network-status` and `multi-ip-preferences` of pods with
 * definitions, as whole objects (selection.md §7).
 */
import { describe, expect, test } from "bun:test";
import type { Pod } from "../support/node.ts";
import { Cluster, networksKey, staticLan } from "../support/cluster.ts";

const other = "11111111-2222-3333-4444-555555555555";

async function startCluster(): Promise<Cluster> {
  const cluster = await Cluster.start();
  cluster.define("lan", {
    ...staticLan(),
    mtu: 1400,
    dns: {
      nameservers: ["10.30.0.53"],
      domain: "lan.local",
      search: ["lan.local"],
      options: ["ndots:2"],
    },
  });
  cluster.define("shared/uplink", {
    cniVersion: "0.4.0",
    type: "macvlan",
    master: "up0",
    ipam: cluster.node.ipam("10.33.0.0/24", {
      routes: [{ dst: "192.0.2.0/24", gw: "10.33.0.1" }],
    }),
  });
  // Attaches nothing of its own, as a plugin that only sets something up.
  cluster.node.plugin(
    "silent",
    `#!/bin/sh\n[ $CNI_COMMAND != ADD ] || echo '{"cniVersion":"1.0.0"}'\n`,
  );
  cluster.define("silent", { cniVersion: "1.0.0", type: "silent" });
  // A plugin with two interfaces in the pod.
  cluster.node.plugin(
    "pair",
    `#!/bin/sh
[ $CNI_COMMAND != ADD ] || echo '{"cniVersion":"1.0.0","interfaces":[{"name":"'$CNI_IFNAME'","sandbox":"'$CNI_NETNS'"},{"name":"pair1","sandbox":"'$CNI_NETNS'"}],"ips":[{"address":"10.35.0.2/24","interface":0},{"address":"10.36.0.2/24","interface":1}]}'
`,
  );
  cluster.define("pair", { cniVersion: "1.0.0", type: "pair" });
  return cluster;
}

const networks = [
  {
    name: "lan",
    ips: ["10.30.0.7/24", "fd30::7/64"],
    mac: "02:00:00:00:00:07",
    interface: "san0",
  },
  { name: "uplink", namespace: "shared" },
  { name: "silent" },
  { name: "pair" },
];

test("write-back, all kinds of attachments in their order", async () => {
  await using cluster = await startCluster();
  const pod = await cluster.attach(networks);
  const [eth0, net2] = await pod.netns.links();
  const [ip1, ip3] = [eth0, net2].map(
    (link) => link?.addresses[0]?.split("/")[0],
  );
  expect(cluster.written()).toEqual({
    preferences: {
      multi_entry: 5,
      ips: {
        ip1: { ip: ip1, interface: "eth0" },
        ip2: { ip: "10.30.0.7", interface: "san0" },
        ip3: { ip: ip3, interface: "net2" },
        ip4: { interface: "net3" },
        ip5: { ip: "10.35.0.2", interface: "net4" },
      },
    },
    status: [
      {
        name: "canal-net",
        interface: "eth0",
        ips: [ip1],
        mac: eth0?.mac,
        default: true,
        dns: { nameservers: ["10.96.0.10"], search: ["shop.svc"] },
        gateway: ["10.66.0.1"],
      },
      {
        name: "shop/lan",
        interface: "san0",
        ips: ["10.30.0.7", "fd30::7"],
        mac: "02:00:00:00:00:07",
        default: false,
        dns: {
          nameservers: ["10.30.0.53"],
          domain: "lan.local",
          search: ["lan.local"],
          options: ["ndots:2"],
        },
      },
      {
        name: "shared/uplink",
        interface: "net2",
        ips: [ip3],
        mac: net2?.mac,
        default: false,
        dns: {},
      },
      {
        name: "shop/silent",
        interface: "net3",
        ips: [],
        default: false,
        dns: {},
      },
      {
        name: "shop/pair",
        interface: "net4",
        ips: ["10.35.0.2"],
        default: false,
        dns: {},
      },
      {
        name: "shop/pair",
        interface: "pair1",
        ips: ["10.36.0.2"],
        default: false,
        dns: {},
      },
    ],
  });
});

describe("write-back, whose uid", () => {
  const annotations = { [networksKey]: JSON.stringify([networks[0]]) };

  /** The kubelet calls a static pod by the hash of its file, the API server by its mirror's uid. */
  async function mirrored({ node, api }: Cluster): Promise<Pod> {
    const pod = await node.pod();
    const { namespace, name, uid: hash } = pod;
    const mirror = {
      "kubernetes.io/config.source": "file",
      "kubernetes.io/config.hash": hash,
    };
    api.pods.put({
      metadata: {
        namespace,
        name,
        uid: other,
        annotations: { ...annotations, ...mirror },
      },
    });
    return pod;
  }

  test("a static pod, annotations of the API server: no second GET", async () => {
    await using cluster = await startCluster();
    const pod = await mirrored(cluster);
    await cluster.add(pod);
    expect(cluster.written()).toMatchObject({
      status: [{ interface: "eth0" }, { name: "shop/lan", interface: "san0" }],
    });
    expect(cluster.requests()).toEqual([
      "GET shop/pods/web",
      "GET shop/network-attachment-definitions/lan",
      "PATCH shop/pods/web/status",
    ]);
  });
});
