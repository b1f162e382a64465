/**
 * Plugins that do not expect another network in the pod (selection.md §8): those that
 * insist on their default route are tried again without the other one in their way, those
 * that remove another network's interface are found out.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { nothing } from "../support/node.ts";
import { type Insisting, insist } from "../support/insisting-plugin.ts";
import { networksKey } from "../support/cluster.ts";
import { RoutedCluster, outside4, shown } from "../support/routed-cluster.ts";

const calico: Insisting = { type: "calico", address: "10.44.0.7" };
const calico2: Insisting = { type: "calico2", address: "10.45.0.7" };

/** Networks of IPv4, and plugins that insist. */
async function start(...plugins: Insisting[]) {
  const routed = await RoutedCluster.start({ alpha: "4", beta: "4" });
  return {
    routed,
    calls: plugins.map((plugin) => insist(routed.node, plugin)),
    [Symbol.asyncDispose]: () => routed[Symbol.asyncDispose](),
  };
}

describe('"file exists"', () => {
  const cases: [
    cni: string,
    calls: string[][],
    main: string,
    tables: string[],
    answers: Record<string, string>,
  ][] = [
    [
      "alpha,calico",
      [["ADD eth1", "DEL eth1", "ADD eth1"], []],
      "via 10.71.0.1 dev eth0",
      ["1000 default via 169.254.1.1 dev eth1"],
      { "10.71.0.2": "eth0", "10.44.0.7": "eth1" },
    ],
    [
      "calico,alpha",
      [["ADD eth0"], []],
      "via 169.254.1.1 dev eth0",
      ["1000 default via 10.71.0.1 dev eth1"],
      { "10.44.0.7": "eth0", "10.71.0.2": "eth1" },
    ],
    [
      "calico,calico2",
      [["ADD eth0"], ["ADD eth1", "DEL eth1", "ADD eth1"]],
      "via 169.254.1.1 dev eth0",
      ["1000 default via 169.254.1.1 dev eth1"],
      { "10.44.0.7": "eth0", "10.45.0.7": "eth1" },
    ],
    [
      "alpha@net1,beta@net2,calico@eth0,calico2@net3",
      [
        ["ADD eth0", "DEL eth0", "ADD eth0"],
        ["ADD net3", "DEL net3", "ADD net3"],
      ],
      "via 169.254.1.1 dev eth0",
      [
        "1000 default via 10.71.0.1 dev net1",
        "1001 default via 10.72.0.1 dev net2",
        "1002 default via 169.254.1.1 dev net3",
      ],
      {
        "10.44.0.7": "eth0",
        "10.71.0.2": "net1",
        "10.72.0.2": "net2",
        "10.45.0.7": "net3",
      },
    ],
  ];
  test.each(cases)(
    "%s",
    async (cni, calls, main, tables, answers) => {
      await using started = await start(calico, calico2);
      const { routed } = started;
      const pod = await routed.pod(cni);
      await routed.cluster.add(pod);
      expect(started.calls.map((one) => one())).toEqual(calls);
      expect(await shown(pod)).toMatchObject({ main: [main], tables });
      expect(await routed.answers(pod)).toEqual(answers);
      expect(await routed.leaves(pod, outside4)).toBe("eth0");
      await routed.cluster.check(pod);
      await routed.cluster.del(pod);
      expect((await shown(pod)).rules).toEqual([]);
      expect(await routed.node.remains()).toEqual(nothing);
    },
    60_000,
  );

  test("a result of 1.1.0 is recorded with the table, and not printed so in an older version", async () => {
    await using started = await start({ ...calico, tellsRoute: true });
    const { routed } = started;
    const { cluster, node } = routed;
    const pod = await routed.pod("alpha,calico");
    const toGateway = { dst: "169.254.1.1/32", scope: 253 };
    const moved = { dst: "0.0.0.0/0", gw: "169.254.1.1", table: 1000 };
    const merged = { config: { result: "merged" } };
    const first = { dst: "0.0.0.0/0", gw: "10.71.0.1" };
    expect(await cluster.add(pod, merged)).toHaveProperty("routes", [
      first,
      toGateway,
    ]);
    expect(node.results(pod).results[1]).toMatchObject({
      result: { cniVersion: "1.1.0", routes: [moved, toGateway] },
      routing: { table: 1000, addresses: ["10.44.0.7"] },
    });
    await cluster.check(pod);
    const newer = { config: { result: "merged", cniVersion: "1.1.0" } };
    expect(await cluster.add(pod, newer)).toHaveProperty("routes", [
      first,
      moved,
      toGateway,
    ]);
  });

  test.each<[string, object]>([
    ["in msg, in capitals", { code: 7, msg: "RTNETLINK answers: FILE EXISTS" }],
    ["in details", { code: 100, msg: "no", details: "route: File exists" }],
  ])("%s", async (_, failure) => {
    await using started = await start({ ...calico, failure });
    const { routed } = started;
    const pod = await routed.pod("alpha,calico");
    await routed.cluster.add(pod);
    expect(started.calls[0]?.()).toEqual(["ADD eth1", "DEL eth1", "ADD eth1"]);
  });

  test("other words are no reason to try again", async () => {
    const failure = { code: 999, msg: "file does not exist" };
    await using started = await start({ ...calico, failure });
    const { routed } = started;
    const pod = await routed.pod("alpha,calico");
    expect(await routed.cluster.refuse(pod)).toMatchObject({
      code: 999,
      msg: expect.stringContaining("file does not exist"),
    });
    expect(started.calls[0]?.()).toEqual(["ADD eth1", "DEL eth1"]);
    expect(await routed.node.remains()).toEqual(nothing);
  });

  test("no earlier default route, so it is something else that exists", async () => {
    await using started = await start({
      ...calico,
      add: 'echo \'{"code":999,"msg":"file exists"}\'; exit 1',
    });
    const { routed } = started;
    routed.node.network("bare.conf", {
      cniVersion: "1.0.0",
      name: "bare-net",
      type: "bridge",
      bridge: "bare0",
      ipam: routed.node.ipam("10.79.0.0/24"),
    });
    const pod = await routed.pod("bare,calico");
    expect(await routed.cluster.refuse(pod)).toMatchObject({
      msg: expect.stringContaining("file exists"),
    });
    expect(started.calls[0]?.()).toEqual(["ADD eth1", "DEL eth1"]);
    expect(await routed.node.remains()).toEqual(nothing);
  });

  test("an interface of that name, made by an earlier network's chain: not tried again, so it is not replaced", async () => {
    await using started = await start(calico);
    const { routed } = started;
    const { node } = routed;
    const log = join(node.directory, "tap.calls");
    node.plugin(
      "tap",
      `#!/bin/sh
cat >/dev/null
echo "$CNI_COMMAND $CNI_IFNAME" >>${log}
case $CNI_COMMAND in
ADD) ip -n \${CNI_NETNS##*/} link add eth1 type bridge || { echo '{"code":999,"msg":"file exists"}'; exit 1; }
  echo '{"cniVersion":"1.0.0"}' ;;
DEL) ip -n \${CNI_NETNS##*/} link delete eth1 2>/dev/null; : ;;
esac
`,
    );
    const tap = { cniVersion: "1.0.0", name: "tap-net", type: "tap" };
    node.network("tap.conf", tap);
    node.network("chain.conflist", {
      cniVersion: "1.0.0",
      name: "chain-net",
      plugins: [{ type: "calico" }, { type: "tap" }],
    });
    const pod = await routed.pod("chain,tap");
    expect(await routed.cluster.refuse(pod)).toMatchObject({
      code: 999,
      msg: expect.stringContaining("file exists"),
    });
    const calls = readFileSync(log, "utf8").split("\n").filter(Boolean);
    expect(calls).toEqual(["ADD eth0", "ADD eth1", "DEL eth1", "DEL eth0"]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("once: the second failure ends the ADD, and everything is undone", async () => {
    await using started = await start({
      ...calico,
      add: 'echo \'{"code":77,"msg":"file exists, again"}\'; exit 1',
    });
    const { routed } = started;
    const pod = await routed.pod("alpha,calico");
    expect(await routed.cluster.refuse(pod)).toMatchObject({
      code: 77,
      msg: expect.stringContaining("file exists, again"),
    });
    expect(started.calls[0]?.()).toEqual([
      "ADD eth1",
      "DEL eth1",
      "ADD eth1",
      "DEL eth1",
    ]);
    expect(await routed.node.remains()).toEqual(nothing);
    expect(await shown(pod)).toEqual({ main: [], rules: [], tables: [] });
  });

  test("a DEL that fails in between ends the ADD with the first error", async () => {
    await using started = await start({
      ...calico,
      // The first DEL; the rollback's succeeds.
      del: '[ -e $0.deleted ] || { touch $0.deleted; echo \'{"code":11,"msg":"not now"}\'; exit 1; }',
    });
    const { routed } = started;
    const pod = await routed.pod("alpha,calico");
    const failure = await routed.cluster.refuse(pod);
    expect(failure).toMatchObject({
      code: 999,
      msg: expect.stringContaining("169.254.1.1: file exists"),
    });
    expect(failure.details).toContain("not now");
    expect(started.calls[0]?.()).toEqual(["ADD eth1", "DEL eth1", "DEL eth1"]);
    expect(await routed.node.remains()).toEqual(nothing);
  });

  test('"defaultRoutes": "keep", not tried again', async () => {
    await using started = await start(calico);
    const { routed } = started;
    const pod = await routed.pod("alpha,calico");
    const config = { defaultRoutes: "keep" };
    expect(await routed.cluster.refuse(pod, { config })).toMatchObject({
      code: 999,
      msg: expect.stringContaining("169.254.1.1: file exists"),
    });
    expect(started.calls[0]?.()).toEqual(["ADD eth1", "DEL eth1"]);
  });
});

describe("every interface is still there", () => {
  const missing =
    'interface "eth0" of network "calico" is missing after network "calico2" was attached';

  test("a plugin that removes another network's interface: 999, both networks are named, all is undone", async () => {
    await using started = await start(
      { ...calico, namedAfterPod: true },
      { ...calico2, namedAfterPod: true },
    );
    const { routed } = started;
    const pod = await routed.pod("calico,calico2");
    expect(await routed.cluster.refuse(pod)).toMatchObject({
      code: 999,
      msg: expect.stringContaining(missing),
    });
    expect(started.calls.map((one) => one().at(-1))).toEqual([
      "DEL eth0",
      "DEL eth1",
    ]);
    expect(await routed.node.remains()).toEqual(nothing);
    expect(routed.cluster.written()).toEqual({});
  });

  test("with keep, too", async () => {
    await using started = await start(
      { ...calico, namedAfterPod: true },
      {
        ...calico2,
        namedAfterPod: true,
      },
    );
    const { routed } = started;
    const pod = await routed.pod("calico,calico2");
    const config = { defaultRoutes: "keep" };
    expect(await routed.cluster.refuse(pod, { config })).toMatchObject({
      code: 999,
      msg: expect.stringContaining(missing),
    });
  });

  test("another interface under the same name is not the same", async () => {
    await using started = await start(calico, {
      ...calico2,
      add: "ip -n $pod link delete eth0; ip -n $pod link add eth0 type veth peer name other",
    });
    const { routed } = started;
    const pod = await routed.pod("calico,calico2");
    expect(await routed.cluster.refuse(pod)).toMatchObject({
      code: 999,
      msg: expect.stringContaining(missing),
    });
  });

  test("an interface that a result names besides its own", async () => {
    await using started = await start(calico2);
    const { routed } = started;
    const { node } = routed;
    node.plugin(
      "two",
      `#!/bin/sh
cat >/dev/null
pod=\${CNI_NETNS##*/}
case $CNI_COMMAND in ADD)
  ip -n $pod link add $CNI_IFNAME type veth peer name second
  echo '{"cniVersion":"1.0.0","interfaces":[{"name":"hosts"},{"name":"second","sandbox":"'$CNI_NETNS'"},{"name":"vhost0","sandbox":"'$CNI_NETNS'"}]}' ;;
DEL) ip -n $pod link delete $CNI_IFNAME 2>/dev/null; : ;;
esac
`,
    );
    node.network("two.conf", {
      cniVersion: "1.0.0",
      name: "two-net",
      type: "two",
    });
    const pod = await routed.pod("two,calico2");
    // "hosts" is the node's, "vhost0" is no network device: neither is looked for.
    await routed.cluster.add(pod);
    await routed.cluster.del(pod);
    insist(node, { ...calico2, add: "ip -n $pod link delete second" });
    expect(await routed.cluster.refuse(pod)).toMatchObject({
      msg: expect.stringContaining(
        'interface "eth0" of network "two" is missing',
      ),
    });
  });

  test("an interface that a result names, replaced by the plugin of an attachment of that name", async () => {
    await using started = await start({
      ...calico,
      alsoNames: "net1",
      add: "ip -n $pod link add net1 type bridge",
    });
    const { routed } = started;
    const { node } = routed;
    node.plugin(
      "taker",
      `#!/bin/sh
cat >/dev/null
pod=\${CNI_NETNS##*/}
ip -n $pod link delete net1 2>/dev/null
[ $CNI_COMMAND = DEL ] || ip -n $pod link add net1 type bridge
echo '{"cniVersion":"1.0.0"}'
`,
    );
    const taker = { cniVersion: "1.0.0", name: "taker-net", type: "taker" };
    node.network("taker.conf", taker);
    const pod = await routed.pod("calico,taker@net1");
    expect(await routed.cluster.refuse(pod)).toMatchObject({
      code: 999,
      msg: expect.stringContaining(
        'interface "net1" of network "calico" is missing after network "taker" was attached',
      ),
    });
    expect(await node.remains()).toEqual(nothing);
  });

  test("an interface that a result names is its network's, unless it is another one's", async () => {
    await using started = await start({
      ...calico,
      alsoNames: "eth0",
    });
    const { routed } = started;
    const pod = await routed.pod("calico@net1,alpha@eth0");
    await routed.cluster.add(pod);
    expect(await shown(pod)).toMatchObject({
      main: ["via 10.71.0.1 dev eth0"],
      tables: ["1000 default via 169.254.1.1 dev net1"],
    });
  });

  test("an interface that never existed: no error", async () => {
    await using started = await start(calico);
    const { routed } = started;
    routed.node.plugin(
      "dpdk",
      `#!/bin/sh
cat >/dev/null
case $CNI_COMMAND in ADD) echo '{"cniVersion":"1.0.0","interfaces":[{"name":"'$CNI_IFNAME'","sandbox":"'$CNI_NETNS'","socketPath":"/run/vhost"}]}'; esac
`,
    );
    routed.node.network("dpdk.conf", {
      cniVersion: "1.0.0",
      name: "dpdk-net",
      type: "dpdk",
    });
    const pod = await routed.pod("calico,dpdk,alpha");
    await routed.cluster.add(pod);
    expect((await pod.netns.links()).map(({ name }) => name)).toEqual([
      "eth0",
      "eth2",
    ]);
    await routed.cluster.del(pod);
    expect(await routed.node.remains()).toEqual(nothing);
  });
});

describe("default-route via a gateway that only a link-scope route reaches", () => {
  test.each([
    ["owner", ["1000 default via 10.71.0.1 dev eth0"]],
    ["keep", []],
  ])('"defaultRoutes": "%s"', async (defaultRoutes, tables) => {
    await using started = await start({ ...calico, withoutDefault: true });
    const { routed } = started;
    routed.cluster.define("uplink", { cniVersion: "1.0.0", type: "calico" });
    const pod = await routed.pod("alpha", {
      [networksKey]: [{ name: "uplink", "default-route": ["169.254.1.1"] }],
    });
    await routed.cluster.add(pod, { config: { defaultRoutes } });
    expect(await shown(pod)).toMatchObject({
      main: ["via 169.254.1.1 dev net1"],
      tables,
    });
    expect(await routed.leaves(pod, outside4)).toBe("net1");
  });

  test("another one of that network is outside: 7, and everything is undone", async () => {
    await using started = await start({ ...calico, withoutDefault: true });
    const { routed } = started;
    routed.cluster.define("uplink", { cniVersion: "1.0.0", type: "calico" });
    const pod = await routed.pod("alpha", {
      [networksKey]: [{ name: "uplink", "default-route": ["169.254.1.2"] }],
    });
    expect(await routed.cluster.refuse(pod)).toMatchObject({
      code: 7,
      msg: '[shop/web:uplink] "default-route" 169.254.1.2 is outside of the prefixes of interface net1',
    });
    expect(await routed.node.remains()).toEqual(nothing);
  });
});
