/**
 * The routes of a running pod when a network comes or goes (agent.md, last rule of "Hot
 * attach and detach"; selection.md §8): real plugins, IPv4 and IPv6.
 */
import { afterAll, expect, test } from "bun:test";
import { removeCerts } from "../support/certs.ts";
import { changed, configure, hot, recorded } from "../support/hot-cluster.ts";
import { insist } from "../support/insisting-plugin.ts";
import { nothing } from "../support/node.ts";
import {
  type Families,
  RoutedCluster,
  outside4,
  shown,
} from "../support/routed-cluster.ts";

afterAll(removeCerts);

const alone = {
  main: ["via 10.71.0.1 dev eth0", "via fd71::1 dev eth0"],
  rules: [],
  tables: [],
};

async function start(
  families?: Partial<Record<"alpha" | "beta" | "gamma", Families>>,
  config?: Record<string, unknown>,
) {
  const routed = await RoutedCluster.start(families);
  configure(routed.cluster, config);
  const pod = await routed.pod("alpha");
  await routed.cluster.add(pod);
  return {
    routed,
    cluster: routed.cluster,
    pod,
    [Symbol.asyncDispose]: () => routed[Symbol.asyncDispose](),
  };
}

test("a new network's default routes leave the main table, the owner's stay; both answer", async () => {
  await using made = await start();
  const { routed, cluster, pod } = made;
  await changed(cluster, "attach", "shop/web", "beta");
  expect(await shown(pod)).toEqual({
    main: alone.main,
    rules: ["1000 from 10.72.0.2 lookup 1000", "1000 from fd72::2 lookup 1000"],
    tables: [
      "1000 default via 10.72.0.1 dev eth1",
      "1000 default via fd72::1 dev eth1",
    ],
  });
  expect(await routed.answers(pod)).toEqual({
    "10.71.0.2": "eth0",
    "fd71::2": "eth0",
    "10.72.0.2": "eth1",
    "fd72::2": "eth1",
  });
  await changed(cluster, "attach", "shop/web", "gamma@net3");
  expect((await shown(pod)).rules).toContain("1001 from 10.73.0.2 lookup 1001");
  await cluster.check(pod);
  await changed(cluster, "detach", "shop/web", "eth1");
  const after = await shown(pod);
  expect(after.main).toEqual(alone.main);
  expect(after.tables.every((line) => line.startsWith("1001 "))).toBe(true);
  await cluster.check(pod);
  await cluster.del(pod);
  expect(await shown(pod)).toEqual({ main: [], rules: [], tables: [] });
  expect(await routed.node.remains()).toEqual(nothing);
});

test("a default route that the pod made itself is not touched", async () => {
  await using made = await start({ alpha: "4", beta: "4", gamma: "4" });
  const { cluster, pod } = made;
  await changed(cluster, "attach", "shop/web", "beta");
  await pod.netns.ip("route add default via 10.72.0.1 dev eth1 metric 7");
  await pod.netns.ip("route del default dev eth0");
  await changed(cluster, "attach", "shop/web", "gamma");
  expect((await shown(pod)).main).toEqual(["via 10.72.0.1 dev eth1"]);
});

test("a family that the owner does not have: the new network's default route stays", async () => {
  await using made = await start({ alpha: "4" });
  await changed(made.cluster, "attach", "shop/web", "beta");
  expect((await shown(made.pod)).main).toEqual([
    "via 10.71.0.1 dev eth0",
    "via fd72::1 dev eth1",
  ]);
});

test("a plugin that fails with file exists: that attachment fails, the routes stay in place", async () => {
  await using made = await start();
  const { cluster, routed, pod } = made;
  insist(routed.node, { type: "insisting", address: "10.99.0.5" });
  const { exitCode, stderr } = await hot(
    cluster,
    "attach",
    "shop/web",
    "insisting",
  );
  expect(stderr).toMatch(/file exists/i);
  expect(exitCode).toBe(1);
  expect(await shown(pod)).toEqual(alone);
  expect(recorded(cluster, pod)).toHaveLength(1);
});

test("a plugin that replaces the default route: the owner's is put back", async () => {
  await using made = await start({ alpha: "4" });
  const { cluster, routed, pod } = made;
  insist(routed.node, {
    type: "taker",
    address: "10.99.0.5",
    withoutDefault: true,
    add: `ip -n "$pod" route replace default via 169.254.1.1 dev "$CNI_IFNAME"`,
  });
  await changed(cluster, "attach", "shop/web", "taker");
  expect((await shown(pod)).main).toEqual(["via 10.71.0.1 dev eth0"]);
});

test.each(["owner", "keep"])(
  "a plugin that replaces the default route and then fails, defaultRoutes %s: the routes as before",
  async (defaultRoutes) => {
    await using made = await start({ alpha: "4" }, { defaultRoutes });
    const { cluster, routed, pod } = made;
    insist(routed.node, {
      type: "taker",
      address: "10.99.0.5",
      withoutDefault: true,
      add: `ip -n "$pod" route replace default via 169.254.1.1 dev "$CNI_IFNAME"
        echo '{"cniVersion":"1.0.0","code":100,"msg":"too late"}'; exit 1`,
    });
    const { stderr } = await hot(cluster, "attach", "shop/web", "taker");
    expect(stderr).toContain("too late");
    expect((await shown(pod)).main).toEqual(["via 10.71.0.1 dev eth0"]);
    expect(recorded(cluster, pod)).toHaveLength(1);
  },
);

/** Makes gamma a definition too, so that an element can ask for its default routes. */
async function defineWide({
  cluster,
  routed,
}: Awaited<ReturnType<typeof start>>) {
  const gamma = Bun.file(`${routed.node.confDir}/03-gamma.conf`);
  cluster.define("wide", await gamma.text());
}

/** An element with the default routes of both families. */
const wide = '{"name":"wide","default-route":["10.73.0.1","fd73::1"]}';

const keep = { defaultRoutes: "keep", log_level: "warn", logFile: undefined };

test("default-route: the element gets it, and the primary has it again afterwards", async () => {
  await using made = await start({ alpha: "4", beta: "4", gamma: "4" });
  const { cluster, routed, pod } = made;
  await defineWide(made);
  await changed(
    cluster,
    "attach",
    "shop/web",
    '{"name":"wide","default-route":["10.73.0.1"]}',
  );
  expect(await shown(pod)).toEqual({
    main: ["via 10.73.0.1 dev net1"],
    rules: ["1000 from 10.71.0.2 lookup 1000"],
    tables: ["1000 default via 10.71.0.1 dev eth0"],
  });
  expect(await routed.leaves(pod, outside4)).toBe("net1");
  expect(cluster.written().status).toMatchObject([
    { interface: "eth0" },
    { interface: "net1", "default-route": ["10.73.0.1"] },
  ]);
  await cluster.check(pod);
  // The second one that asks is refused; another network leaves both alone.
  const second =
    '{"name":"wide","interface":"x1","default-route":["10.73.0.1"]}';
  const refused = await hot(cluster, "attach", "shop/web", second);
  expect(refused.stderr).toContain('"default-route" is requested for more');
  await changed(cluster, "attach", "shop/web", "beta@net2");
  expect((await shown(pod)).main).toEqual(["via 10.73.0.1 dev net1"]);
  await changed(cluster, "detach", "shop/web", "net2");
  await changed(cluster, "detach", "shop/web", "net1");
  expect(await shown(pod)).toEqual({
    main: ["via 10.71.0.1 dev eth0"],
    rules: [],
    tables: [],
  });
  expect(cluster.written().status).toMatchObject([
    { interface: "eth0", gateway: ["10.71.0.1"] },
  ]);
  await cluster.check(pod);
  await cluster.del(pod);
  expect(await routed.node.remains()).toEqual(nothing);
});

test("default-route, the element's interface is gone when it is detached: the primary has its default routes again", async () => {
  await using made = await start();
  const { cluster, pod } = made;
  await defineWide(made);
  await changed(cluster, "attach", "shop/web", wide);
  await pod.netns.ip("link delete net1");
  await changed(cluster, "detach", "shop/web", "net1");
  expect(await shown(pod)).toEqual(alone);
  expect(cluster.written().status).toMatchObject([
    { interface: "eth0", gateway: ["10.71.0.1", "fd71::1"] },
  ]);
  await cluster.check(pod);
});

test("the owner of a family is detached: the next network gets its default route back, the other family stays", async () => {
  await using made = await start({ alpha: "4" });
  const { cluster, pod } = made;
  await changed(cluster, "attach", "shop/web", "beta");
  await changed(cluster, "attach", "shop/web", "gamma");
  expect((await shown(pod)).main).toEqual([
    "via 10.71.0.1 dev eth0",
    "via fd72::1 dev eth1",
  ]);
  await changed(cluster, "detach", "shop/web", "eth1");
  expect(await shown(pod)).toEqual({
    main: ["via 10.71.0.1 dev eth0", "via fd73::1 dev eth2"],
    rules: ["1001 from 10.73.0.2 lookup 1001"],
    tables: ["1001 default via 10.73.0.1 dev eth2"],
  });
  expect(cluster.written().status).toMatchObject([
    { interface: "eth0" },
    { interface: "eth2", gateway: ["fd73::1"] },
  ]);
  await cluster.check(pod);
  await cluster.del(pod);
  expect(await shown(pod)).toEqual({ main: [], rules: [], tables: [] });
});

test("keep, the owner is detached: the primary has its default route again", async () => {
  await using made = await start({}, keep);
  await defineWide(made);
  const { cluster, routed, pod } = made;
  const own = "default via 10.71.0.1 dev eth0 src 10.71.0.2 mtu 1400";
  await pod.netns.ip(`route change ${own}`);
  await changed(cluster, "attach", "shop/web", wide);
  expect(await shown(pod)).toEqual({
    main: ["via 10.73.0.1 dev net1", "via fd73::1 dev net1"],
    rules: [],
    tables: [],
  });
  await cluster.check(pod);
  const { exitCode, stderr } = await hot(cluster, "detach", "shop/web", "net1");
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(await shown(pod)).toEqual(alone);
  const again = await pod.netns.ip("-4 route show default");
  expect(again.trim()).toBe(own);
  expect(await routed.leaves(pod, outside4)).toBe("eth0");
  await cluster.check(pod);
  // Once more, and the DEL of the whole pod.
  await changed(cluster, "attach", "shop/web", wide);
  await cluster.del(pod);
  expect(await routed.node.remains()).toEqual(nothing);
});

test("keep, the primary lost its IPv4 address: the owner is detached, the primary has its IPv6 default route again", async () => {
  await using made = await start({}, keep);
  await defineWide(made);
  const { cluster, pod } = made;
  await changed(cluster, "attach", "shop/web", wide);
  await pod.netns.ip("-4 addr flush dev eth0");
  const { exitCode, stderr } = await hot(cluster, "detach", "shop/web", "net1");
  expect(exitCode).toBe(0);
  expect((await shown(pod)).main).toEqual(["via fd71::1 dev eth0"]);
  expect(stderr).toMatch(
    /failed to give another network the default route .*family="IPv4"/,
  );
});

test("the only default route of a family is removed with its network: a warning", async () => {
  const config = { log_level: "warn", logFile: undefined };
  await using made = await start({ alpha: "4" }, config);
  const { cluster, pod } = made;
  await changed(cluster, "attach", "shop/web", "beta");
  const { exitCode, stderr } = await hot(cluster, "detach", "shop/web", "eth1");
  expect(exitCode).toBe(0);
  expect(stderr).toMatch(
    /the pod has no default route any more verb="DEL" pod="shop\/web".* family="IPv6"/,
  );
  expect((await shown(pod)).main).toEqual(["via 10.71.0.1 dev eth0"]);
});

test("a default route that the pod took out does not come back by a detach", async () => {
  await using made = await start({ alpha: "4", beta: "4", gamma: "4" });
  const { cluster, pod } = made;
  await changed(cluster, "attach", "shop/web", "beta");
  await changed(cluster, "attach", "shop/web", "gamma");
  await pod.netns.ip("route del default");
  await changed(cluster, "detach", "shop/web", "eth1");
  expect((await shown(pod)).main).toEqual([]);
});

test("a gateway that cannot be reached: rolled back, the routes as before", async () => {
  await using made = await start({ alpha: "4", gamma: "4" });
  const { cluster, pod } = made;
  await defineWide(made);
  const element = '{"name":"wide","default-route":["10.99.0.1"]}';
  const { stderr } = await hot(cluster, "attach", "shop/web", element);
  expect(stderr).toContain(
    '"default-route" 10.99.0.1 is outside of the prefixes',
  );
  expect(await shown(pod)).toEqual({
    main: ["via 10.71.0.1 dev eth0"],
    rules: [],
    tables: [],
  });
  expect(recorded(cluster, pod)).toHaveLength(1);
});
