/**
 * What a pod asks of an attachment, given by real plugins: addresses, MAC
 * addresses, arguments, ports, bandwidth; and what happens when they do not
 * give it (selection.md §6).
 */
import { describe, expect, test } from "bun:test";
import { nothing } from "../support/node.ts";
import {
  Cluster,
  addresses,
  lan,
  networksKey,
  staticLan,
} from "../support/cluster.ts";

const mac = "02:00:00:00:00:07";

describe("ips", () => {
  const cases: [string, (cluster: Cluster) => object, string[], string[]][] = [
    [
      "static, both and several",
      () => staticLan(),
      ["10.30.0.7/24", "fd30::7/64", "10.30.0.8/24"],
      ["10.30.0.7/24", "10.30.0.8/24", "fd30::7/64"],
    ],
    [
      "static without the capability, by IP= of CNI_ARGS",
      () => ({ ...staticLan(), capabilities: {} }),
      ["10.30.0.7/24", "fd30::7/64"],
      ["10.30.0.7/24", "fd30::7/64"],
    ],
    [
      "host-local, an address",
      ({ node }) => lan(node, { capabilities: { ips: true } }),
      ["10.30.0.77"],
      ["10.30.0.77/24"],
    ],
  ];
  test.each(cases)("%s", async (_, network, ips, expected) => {
    await using cluster = await Cluster.start();
    cluster.define("lan", network(cluster));
    const pod = await cluster.attach([{ name: "lan", ips }]);
    const { net1 } = await addresses(pod);
    expect(net1?.toSorted()).toEqual(expected);
    expect(cluster.written().status).toMatchObject([
      { interface: "eth0" },
      {
        interface: "net1",
        ips: expect.arrayContaining(expected.map((cidr) => cidr.split("/")[0])),
      },
    ]);
    await cluster.check(pod);
    await cluster.del(pod);
    expect(await cluster.node.remains()).toEqual(nothing);
  });

  test("the same definition twice, each element its own", async () => {
    await using cluster = await Cluster.start();
    cluster.define("lan", staticLan());
    const pod = await cluster.attach([
      { name: "lan", ips: ["10.30.0.7/24"] },
      { name: "lan", ips: ["10.30.0.8/24"], mac, interface: "san0" },
    ]);
    expect(await addresses(pod)).toMatchObject({
      net1: ["10.30.0.7/24"],
      san0: ["10.30.0.8/24"],
    });
    expect(
      (await pod.netns.links())
        .filter((link) => link.mac === mac)
        .map(({ name }) => name),
    ).toEqual(["san0"]);
  });

  test("an address that is taken fails the pod, nothing is left of it", async () => {
    await using cluster = await Cluster.start();
    cluster.define("lan", lan(cluster.node, { capabilities: { ips: true } }));
    const networks = [{ name: "lan", ips: ["10.30.0.77"] }];
    const first = await cluster.attach(networks);
    const before = cluster.node.addresses();
    const second = await cluster.pod({ [networksKey]: networks });
    expect(await cluster.refuse(second)).toMatchObject({
      msg: expect.stringMatching(/^\[shop\/web:lan\] .*10\.30\.0\.77/),
    });
    expect(await second.netns.links()).toEqual([]);
    expect(cluster.node.addresses()).toEqual(before);
    await cluster.del(first);
    expect(await cluster.node.remains()).toEqual(nothing);
  });
});

describe("mac", () => {
  const capabilities = { mac: true };
  const cases: [string, (cluster: Cluster) => object][] = [
    ["bridge", ({ node }) => lan(node, { capabilities })],
    [
      "bridge without the capability, by MAC= of CNI_ARGS",
      ({ node }) => lan(node),
    ],
    [
      "tuning behind ptp",
      ({ node }) => ({
        cniVersion: "1.0.0",
        name: "tuned",
        plugins: [
          { type: "ptp", ipam: node.ipam("10.34.0.0/24") },
          { type: "tuning", capabilities },
        ],
      }),
    ],
  ];
  test.each(cases)("%s", async (_, network) => {
    await using cluster = await Cluster.start();
    cluster.define("net", network(cluster));
    const pod = await cluster.attach([{ name: "net", mac }]);
    const links = await pod.netns.links();
    expect(links.find(({ name }) => name === "net1")?.mac).toBe(mac);
    expect(cluster.written().status).toMatchObject([
      {},
      { interface: "net1", mac },
    ]);
    await cluster.check(pod);
    await cluster.del(pod);
    expect(await cluster.node.remains()).toEqual(nothing);
  });
});

describe("cni-args", () => {
  test("reach each plugin in args.cni: addresses of the static plugin", async () => {
    await using cluster = await Cluster.start();
    const args = { cni: { ips: ["10.30.0.1/24"], other: true } };
    cluster.define("lan", { ...staticLan(), args });
    const pod = await cluster.attach([
      { name: "lan", "cni-args": { ips: ["10.30.0.9/24"] } },
    ]);
    expect(await addresses(pod)).toMatchObject({ net1: ["10.30.0.9/24"] });
    expect(cluster.node.record(pod)).toMatchObject({
      attachments: [
        {},
        {
          list: {
            plugins: [
              { args: { cni: { ips: ["10.30.0.9/24"], other: true } } },
            ],
          },
        },
      ],
    });
    await cluster.del(pod);
    expect(await cluster.node.remains()).toEqual(nothing);
  });
});

/** The port mappings and the rates of the node, as iptables and tc say. */
async function ruled({
  node,
}: Cluster): Promise<{ ports: string[]; shaped: string[] }> {
  const rules = await node.netns.run("iptables", "-t", "nat", "-S");
  const disciplines = await node.netns.run("tc", "qdisc", "show");
  return {
    ports: [...rules.matchAll(/--dport (\d+) -j DNAT --to-destination (\S+)/g)]
      .map(([, port, target]) => `${port} → ${target}`)
      .toSorted(),
    shaped: [...disciplines.matchAll(/^qdisc tbf .* rate (\S+) burst (\S+)/gm)]
      .map(([, rate, burst]) => `${rate} ${burst}`)
      .toSorted(),
  };
}

describe("portMappings and bandwidth", () => {
  const capabilities = { portMappings: true, bandwidth: true };
  const chain = ({ node }: Cluster) => ({
    cniVersion: "1.0.0",
    name: "ports",
    plugins: [
      { type: "ptp", ipam: node.ipam("10.36.0.0/24") },
      { type: "portmap", capabilities },
      { type: "bandwidth", capabilities },
    ],
  });
  const runtimeConfig = {
    portMappings: [{ hostPort: 9090, containerPort: 90, protocol: "tcp" }],
  };

  test("the element's own reach its network, the runtime's the primary", async () => {
    await using cluster = await Cluster.start();
    cluster.define("ports", chain(cluster));
    const pod = await cluster.attach(
      [
        {
          name: "ports",
          portMappings: [
            { hostPort: 8080, containerPort: 80, protocol: "tcp" },
          ],
          bandwidth: { ingressRate: 8_000_000, ingressBurst: 800_000 },
        },
      ],
      { runtimeConfig },
    );
    const { eth0 = [], net1 = [] } = await addresses(pod);
    const [primary, own] = [eth0, net1].map(
      ([address = ""]) => address.split("/")[0],
    );
    expect(await ruled(cluster)).toEqual({
      ports: [`8080 → ${own}:80`, `9090 → ${primary}:90`],
      shaped: ["8Mbit 100000b"],
    });
    expect(cluster.node.record(pod)).toMatchObject({
      attachments: [
        { capabilityArgs: runtimeConfig },
        {
          capabilityArgs: {
            portMappings: [
              { hostPort: 8080, containerPort: 80, protocol: "tcp" },
            ],
            bandwidth: { ingressRate: 8_000_000, ingressBurst: 800_000 },
          },
        },
      ],
    });
    await cluster.del(pod);
    expect(await ruled(cluster)).toEqual({ ports: [], shaped: [] });
    expect(await cluster.node.remains()).toEqual(nothing);
  });
});

describe("a request that no plugin declares a capability for", () => {
  const cases: [string, object][] = [
    ["ips", { ips: ["10.30.0.77"] }],
    ["mac", { mac }],
  ];
  test.each(cases)(
    "%s: a warning, strict: an error 7, nothing executed",
    async (capability, request) => {
      await using cluster = await Cluster.start();
      cluster.define("lan", lan(cluster.node));
      const message = `network-attachment-definition "shop/lan": "${capability}" is requested, but no plugin declares that capability`;
      const pod = await cluster.pod({
        [networksKey]: [{ name: "lan", ...request }],
      });
      expect(await cluster.refuse(pod, { config: { strict: true } })).toEqual({
        code: 7,
        msg: message,
      });
      expect(await cluster.node.remains()).toEqual(nothing);
      await cluster.add(pod);
      expect(cluster.node.log()).toContain(JSON.stringify(message));
      expect(await addresses(pod)).toMatchObject({
        net1: [expect.any(String)],
      });
    },
  );
});

describe("a request that the network declares and does not meet", () => {
  const cases: [string, object, string][] = [
    [
      "an address",
      { ips: ["10.30.0.77"] },
      "address 10.30.0.77 was requested, but not given",
    ],
    [
      "a MAC address",
      { mac },
      `MAC address ${mac} was requested, but 0a:58:0a:01:00:02 was given`,
    ],
  ];
  const deaf = `#!/bin/sh
case $CNI_COMMAND in ADD)
  echo '{"cniVersion":"1.0.0","interfaces":[{"name":"'$CNI_IFNAME'","mac":"0a:58:0a:01:00:02","sandbox":"'$CNI_NETNS'"}],"ips":[{"address":"10.30.0.2/24"}]}'
esac
`;
  test.each(cases)(
    "%s: a warning, strict: an error 7 and nothing left",
    async (_, request, message) => {
      await using cluster = await Cluster.start();
      cluster.node.plugin("deaf", deaf);
      cluster.define("lan", { ...staticLan(), name: "deaf-lan", type: "deaf" });
      const pod = await cluster.pod({
        [networksKey]: [{ name: "lan", ...request }],
      });
      expect(await cluster.refuse(pod, { config: { strict: true } })).toEqual({
        code: 7,
        msg: `[shop/web:lan] ${message}`,
      });
      expect(await cluster.node.remains()).toEqual(nothing);
      await cluster.add(pod);
      const lines = cluster.node.log().trimEnd().split("\n");
      expect(lines.map((line): unknown => JSON.parse(line))).toContainEqual(
        expect.objectContaining({
          level: "warn",
          msg: message,
          network: "lan",
          ifname: "net1",
        }),
      );
    },
  );

  test("met, also when strict", async () => {
    await using cluster = await Cluster.start();
    cluster.define("lan", staticLan());
    cluster.define("layer2", lan(cluster.node, { ipam: {} }));
    const networks = [
      {
        name: "lan",
        ips: ["10.30.0.7/24", "fd30:0::7/64"],
        mac: mac.toUpperCase(),
      },
      // OVN-Kubernetes reads it from the annotation.
      { name: "layer2", "ipam-claim-reference": "vm-a.layer2" },
    ];
    const pod = await cluster.attach(networks, { config: { strict: true } });
    expect(await addresses(pod)).toMatchObject({
      net1: ["10.30.0.7/24", "fd30::7/64"],
    });
  });
});
