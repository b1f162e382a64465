/**
 * The pod's default route where `default-route` asks for it: in the pod, in the
 * result, in the record and in the pod's status (selection.md §6, §7).
 */
import { describe, expect, test } from "bun:test";
import { type Pod, nothing } from "../support/node.ts";
import {
  Cluster,
  defaultKey,
  networksKey,
  staticLan,
} from "../support/cluster.ts";
import {
  noDuplicateAddressDetection,
  shown,
} from "../support/routed-cluster.ts";

/** A primary network with default routes of both families. */
async function startCluster(): Promise<Cluster> {
  const cluster = await Cluster.start();
  cluster.node.network("05-dual.conf", {
    cniVersion: "1.0.0",
    name: "dual-net",
    type: "ptp",
    ipam: {
      ...cluster.node.ipam("10.70.0.0/24"),
      ranges: [[{ subnet: "10.70.0.0/24" }], [{ subnet: "fd70::/64" }]],
      routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
    },
  });
  cluster.define("lan", staticLan());
  await noDuplicateAddressDetection(cluster.node.netns);
  return cluster;
}

/** A pod that the API server knows, whose IPv6 addresses nobody waits for. */
async function startPod(
  cluster: Cluster,
  annotations: Record<string, unknown>,
): Promise<Pod> {
  const pod = await cluster.pod(annotations);
  await noDuplicateAddressDetection(pod.netns);
  return pod;
}

const ips = ["10.30.0.7/24", "fd30::7/64"];

function asking(...gateways: string[]) {
  return { [networksKey]: [{ name: "lan", ips, "default-route": gateways }] };
}

/** `via … dev …` of each default route. */
async function defaultRoutes({ netns }: Pod): Promise<string[]> {
  const printed = await Promise.all([
    netns.ip("-4 route show default"),
    netns.ip("-6 route show default"),
  ]);
  return [...printed.join("\n").matchAll(/^default (via \S+ dev \S+)/gm)].map(
    ([, route = ""]) => route,
  );
}

const primary4 = "via 10.70.0.1 dev eth0";
const primary6 = "via fd70::1 dev eth0";

describe("default-route", () => {
  const cases: [string, string[], string[], { eth0: object; net1: object }][] =
    [
      [
        "an empty list is absent",
        [],
        [primary4, primary6],
        { eth0: { gateway: ["10.70.0.1", "fd70::1"] }, net1: {} },
      ],
      [
        "IPv4",
        ["10.30.0.1"],
        ["via 10.30.0.1 dev net1", primary6],
        {
          eth0: { gateway: ["fd70::1"] },
          net1: { gateway: ["10.30.0.1"], "default-route": ["10.30.0.1"] },
        },
      ],
      [
        "IPv6",
        ["fd30::1"],
        [primary4, "via fd30::1 dev net1"],
        {
          eth0: { gateway: ["10.70.0.1"] },
          net1: { gateway: ["fd30::1"], "default-route": ["fd30::1"] },
        },
      ],
      [
        "both",
        ["fd30::1", "10.30.0.1"],
        ["via 10.30.0.1 dev net1", "via fd30::1 dev net1"],
        {
          eth0: {},
          net1: {
            gateway: ["fd30::1", "10.30.0.1"],
            "default-route": ["fd30::1", "10.30.0.1"],
          },
        },
      ],
    ];
  test.each(cases)("%s", async (_, gateways, routes, status) => {
    await using cluster = await startCluster();
    const pod = await startPod(cluster, asking(...gateways));
    const result = await cluster.add(pod);
    expect(await defaultRoutes(pod)).toEqual(routes);
    // The primary's go to a table of their own (selection.md §8).
    const gone = [primary4, primary6].filter((one) => !routes.includes(one));
    const { tables, rules } = await shown(pod);
    expect(tables).toEqual(gone.map((one) => `1000 default ${one}`));
    expect(rules).toHaveLength(gone.length);
    const [eth0, net1] = await pod.netns.links();
    const entry = { default: false, dns: {} };
    expect(cluster.written().status).toEqual([
      {
        ...entry,
        name: "dual-net",
        interface: "eth0",
        ips: expect.any(Array),
        mac: eth0?.mac,
        default: true,
        ...status.eth0,
      },
      {
        ...entry,
        name: "shop/lan",
        interface: "net1",
        ips: ["10.30.0.7", "fd30::7"],
        mac: net1?.mac,
        ...status.net1,
      },
    ]);
    const kept = [primary4, primary6].filter((route) => routes.includes(route));
    const printed = kept.map((route) =>
      route === primary4 ? { dst: "0.0.0.0/0" } : { dst: "::/0" },
    );
    expect((result as { routes?: object[] }).routes ?? []).toMatchObject(
      printed,
    );
    expect((result as { routes?: object[] }).routes ?? []).toHaveLength(
      printed.length,
    );
    // The plugins hold the routes of the pod against the recorded results.
    await cluster.check(pod);
    await cluster.del(pod);
    expect((await shown(pod)).rules).toEqual([]);
    expect(await cluster.node.remains()).toEqual(nothing);
  });

  test('"defaultRoutes": "keep": the others are removed', async () => {
    await using cluster = await startCluster();
    const pod = await startPod(cluster, asking("10.30.0.1", "fd30::1"));
    const config = { defaultRoutes: "keep" };
    const result = await cluster.add(pod, { config });
    expect(await shown(pod)).toEqual({
      main: ["via 10.30.0.1 dev net1", "via fd30::1 dev net1"],
      rules: [],
      tables: [],
    });
    expect(result).not.toHaveProperty("routes");
    await cluster.check(pod, { config });
  });

  test("of a pod's only network: the gateway takes the place of its own", async () => {
    await using cluster = await startCluster();
    cluster.define("kube-system/uplink", {
      cniVersion: "1.0.0",
      type: "bridge",
      bridge: "lan0",
      ipam: cluster.node.ipam("10.31.0.0/24", {
        routes: [{ dst: "0.0.0.0/0" }],
      }),
    });
    const pod = await cluster.pod({
      [defaultKey]: { name: "uplink", "default-route": ["10.31.0.77"] },
    });
    expect(await cluster.add(pod)).toMatchObject({
      routes: [{ dst: "0.0.0.0/0", gw: "10.31.0.77" }],
    });
    expect(await shown(pod)).toEqual({
      main: ["via 10.31.0.77 dev eth0"],
      rules: [],
      tables: [],
    });
  });

  test("merged result", async () => {
    await using cluster = await startCluster();
    const pod = await startPod(cluster, asking("10.30.0.1"));
    expect(
      await cluster.add(pod, { config: { result: "merged" } }),
    ).toMatchObject({
      routes: expect.arrayContaining([{ dst: "0.0.0.0/0", gw: "10.30.0.1" }]),
    });
  });

  test("the pod can send over it", async () => {
    await using cluster = await startCluster();
    await cluster.node.netns.ip("address add 10.30.0.1/24 dev lan0");
    await cluster.node.netns.ip("address add 192.0.2.1/32 dev lan0");
    const pod = await startPod(cluster, asking("10.30.0.1"));
    await cluster.add(pod);
    expect(await pod.netns.ip("route get 192.0.2.1")).toContain(
      "via 10.30.0.1 dev net1 src 10.30.0.7",
    );
    expect(
      await pod.netns.run("ping", "-c", "1", "-W", "5", "192.0.2.1"),
    ).toContain(" 0% packet loss");
  });
});

/** IPv6 addresses would be waited for. */
async function startPlain(): Promise<Cluster> {
  const cluster = await Cluster.start();
  cluster.define("lan", staticLan());
  return cluster;
}

describe("default-route, refused with 7", () => {
  const gateway = (...gateways: string[]) => ({
    name: "lan",
    ips: ["10.30.0.7/24"],
    "default-route": gateways,
  });
  const cases: [string, object[], string][] = [
    [
      "outside of the interface's prefixes",
      [gateway("10.31.0.1")],
      '[shop/web:lan] "default-route" 10.31.0.1 is outside of the prefixes of interface net1',
    ],
    [
      "inside of another interface's prefixes",
      [gateway("10.66.0.1")],
      '[shop/web:lan] "default-route" 10.66.0.1 is outside',
    ],
  ];
  test.each(cases)("%s", async (_, networks, msg) => {
    await using cluster = await startPlain();
    const pod = await cluster.pod({ [networksKey]: networks });
    expect(await cluster.refuse(pod)).toMatchObject({
      code: 7,
      msg: expect.stringContaining(msg),
    });
    expect(await cluster.node.remains()).toEqual(nothing);
    expect(cluster.written()).toEqual({});
  });
});

test("default-route, the kernel refuses: everything is rolled back", async () => {
  await using cluster = await startPlain();
  // Says that it attached something, but there is no such interface.
  cluster.node.plugin(
    "liar",
    `#!/bin/sh
case $CNI_COMMAND in ADD) echo '{"cniVersion":"1.0.0","ips":[{"address":"10.30.0.2/24"}]}'; esac
`,
  );
  cluster.define("lan", { cniVersion: "1.0.0", name: "lan", type: "liar" });
  const pod = await cluster.pod({
    [networksKey]: [{ name: "lan", "default-route": ["10.30.0.1"] }],
  });
  expect(await cluster.refuse(pod)).toMatchObject({
    msg: expect.stringContaining(
      '[shop/web:lan] failed to move the default route: no interface "net1"',
    ),
  });
  expect(await cluster.node.remains()).toEqual(nothing);
});

test("default-route, the kernel refuses it after others have moved: no rule stays", async () => {
  await using cluster = await startCluster();
  const networks = asking("10.30.0.1", "fd30::7");
  const pod = await startPod(cluster, networks);
  // The pod's own address is in its prefix, and no gateway.
  expect(await cluster.refuse(pod)).toMatchObject({
    code: 999,
    msg: '[shop/web:lan] failed to add route "default via fd30::7 dev net1": invalid argument',
  });
  expect(await shown(pod)).toEqual({ main: [], rules: [], tables: [] });
  expect(await cluster.node.remains()).toEqual(nothing);
});
