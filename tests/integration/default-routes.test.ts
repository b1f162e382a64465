/**
 * Several networks with a default route each in one pod (selection.md §8): real plugins
 * of the reference set, IPv4 and IPv6. The pod's own traffic leaves by the primary, and a
 * host outside of all networks reaches it on each address.
 */
import { describe, expect, test } from "bun:test";
import { nothing } from "../support/node.ts";
import { insist } from "../support/insisting-plugin.ts";
import {
  RoutedCluster,
  type Shown,
  outside4,
  outside6,
  shown,
} from "../support/routed-cluster.ts";

const untouched: Omit<Shown, "main"> = { rules: [], tables: [] };

/** alpha, beta and gamma are 1 to 3. */
const main = (n: number, ifname: string) => [
  `via 10.7${n}.0.1 dev ${ifname}`,
  `via fd7${n}::1 dev ${ifname}`,
];
const rules = (n: number, table: number) => [
  `${table} from 10.7${n}.0.2 lookup ${table}`,
  `${table} from fd7${n}::2 lookup ${table}`,
];
const tables = (n: number, ifname: string, table: number) =>
  main(n, ifname).map((route) => `${table} default ${route}`);

/** IPv4 first, as `ip` is asked. */
function together(...lists: string[][]): string[] {
  const all = lists.flat();
  return [
    ...all.filter((line) => !line.includes("::")),
    ...all.filter((line) => line.includes("::")),
  ];
}

async function linesOf(routed: RoutedCluster): Promise<object[]> {
  return routed.node
    .log()
    .split("\n")
    .filter((line) => line.includes("moved default routes"))
    .map((line) => JSON.parse(line) as object);
}

describe("two and three networks with default routes", () => {
  const cases: [
    cni: string,
    expected: Shown,
    answers: Record<string, string>,
  ][] = [
    [
      "alpha,beta",
      {
        main: main(1, "eth0"),
        rules: rules(2, 1000),
        tables: tables(2, "eth1", 1000),
      },
      {
        "10.71.0.2": "eth0",
        "fd71::2": "eth0",
        "10.72.0.2": "eth1",
        "fd72::2": "eth1",
      },
    ],
    [
      "beta,alpha",
      {
        main: main(2, "eth0"),
        rules: rules(1, 1000),
        tables: tables(1, "eth1", 1000),
      },
      {
        "10.72.0.2": "eth0",
        "fd72::2": "eth0",
        "10.71.0.2": "eth1",
        "fd71::2": "eth1",
      },
    ],
    [
      "beta@net1,gamma@net2,alpha@eth0",
      {
        main: main(1, "eth0"),
        rules: together(rules(2, 1000), rules(3, 1001)),
        tables: together(tables(2, "net1", 1000), tables(3, "net2", 1001)),
      },
      {
        "10.71.0.2": "eth0",
        "fd71::2": "eth0",
        "10.72.0.2": "net1",
        "fd72::2": "net1",
        "10.73.0.2": "net2",
        "fd73::2": "net2",
      },
    ],
  ];
  test.each(cases)(
    "%s",
    async (cni, expected, answers) => {
      await using routed = await RoutedCluster.start();
      const pod = await routed.pod(cni);
      await routed.cluster.add(pod);
      expect(await shown(pod)).toEqual(expected);
      expect(await routed.answers(pod)).toEqual(answers);
      expect([
        await routed.leaves(pod, outside4),
        await routed.leaves(pod, outside6),
      ]).toEqual(["eth0", "eth0"]);
      // The reference plugins look for the routes of their results.
      await routed.cluster.check(pod);
      await routed.cluster.del(pod);
      expect(await shown(pod)).toEqual({ main: [], ...untouched });
      expect(await routed.node.remains()).toEqual(nothing);
      expect(await linesOf(routed)).toHaveLength(1);
    },
    60_000,
  );

  test("result, record, status and log agree", async () => {
    await using routed = await RoutedCluster.start();
    const { cluster, node } = routed;
    const pod = await routed.pod("alpha,beta");
    expect(await cluster.add(pod)).toMatchObject({
      routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
    });
    const { results } = node.results(pod);
    expect(results).toMatchObject([
      {
        ifname: "eth0",
        result: { routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }] },
      },
      {
        ifname: "eth1",
        routing: { table: 1000, addresses: ["10.72.0.2", "fd72::2"] },
      },
    ]);
    // 0.4.0 has no word for a route in another table.
    expect(results[1]?.result).not.toHaveProperty("routes");
    const { status } = cluster.written() as { status: object[] };
    expect(status).toMatchObject([
      { interface: "eth0", default: true, gateway: ["10.71.0.1", "fd71::1"] },
      { interface: "eth1", default: false },
    ]);
    expect(status[1]).not.toHaveProperty("gateway");
    expect(await linesOf(routed)).toMatchObject([
      {
        level: "info",
        pod: "shop/web",
        moved: [
          "default via 10.72.0.1 dev eth1 table 1000",
          "default via fd72::1 dev eth1 table 1000",
        ],
      },
    ]);
  });

  test("each family has its owner: the first that has a default route, where the primary has none", async () => {
    await using routed = await RoutedCluster.start({ alpha: "4" });
    const pod = await routed.pod("alpha,beta,gamma");
    await routed.cluster.add(pod);
    expect(await shown(pod)).toEqual({
      main: ["via 10.71.0.1 dev eth0", "via fd72::1 dev eth1"],
      rules: [
        "1000 from 10.72.0.2 lookup 1000",
        "1001 from 10.73.0.2 lookup 1001",
        "1001 from fd73::2 lookup 1001",
      ],
      tables: [
        "1000 default via 10.72.0.1 dev eth1",
        ...tables(3, "eth2", 1001),
      ],
    });
    expect(await routed.leaves(pod, outside6)).toBe("eth1");
    expect(await routed.answers(pod)).toMatchObject({
      "10.72.0.2": "eth1",
      "fd72::2": "eth1",
      "fd73::2": "eth2",
    });
    await routed.cluster.check(pod);
  });

  test("one network: its routes stay", async () => {
    await using routed = await RoutedCluster.start();
    const pod = await routed.pod("beta");
    await routed.cluster.add(pod);
    expect(await shown(pod)).toEqual({ main: main(2, "eth0"), ...untouched });
    expect(await linesOf(routed)).toEqual([]);
  });

  test("a second ADD: the rules of the first one go", async () => {
    await using routed = await RoutedCluster.start({ alpha: "4", beta: "4" });
    const pod = await routed.pod("alpha,beta");
    await routed.cluster.add(pod);
    await routed.cluster.add(pod);
    expect((await shown(pod)).rules).toEqual([
      "1000 from 10.72.0.3 lookup 1000",
    ]);
    await routed.cluster.del(pod);
    expect((await shown(pod)).rules).toEqual([]);
    expect(await routed.node.remains()).toEqual(nothing);
  });

  test("rules and tables of others stay, also when the pod is deleted", async () => {
    await using routed = await RoutedCluster.start({ alpha: "4", beta: "4" });
    const pod = await routed.pod("alpha,beta");
    await pod.netns.ip("rule add from 10.72.0.2 lookup 1000 pref 5");
    await routed.cluster.add(pod);
    expect((await shown(pod)).rules).toEqual([
      "5 from 10.72.0.2 lookup 1000",
      "1001 from 10.72.0.2 lookup 1001",
    ]);
    await routed.cluster.del(pod);
    expect((await shown(pod)).rules).toEqual(["5 from 10.72.0.2 lookup 1000"]);
  });

  test("the rules of another namespace at the same path are left alone", async () => {
    await using routed = await RoutedCluster.start({ alpha: "4", beta: "4" });
    const pod = await routed.pod("alpha,beta");
    await routed.cluster.add(pod);
    const other = await routed.pod("alpha");
    await other.netns.ip("rule add from 10.72.0.2 lookup 1000 pref 1000");
    await routed.cluster.del(pod, { env: { CNI_NETNS: other.netns.path } });
    expect((await shown(other)).rules).toEqual([
      "1000 from 10.72.0.2 lookup 1000",
    ]);
  });
});

test("a plugin that makes routes to both halves of all addresses: the primary owns the default route", async () => {
  await using routed = await RoutedCluster.start({ alpha: "4" });
  insist(routed.node, {
    type: "taker",
    address: "10.99.0.5",
    withoutDefault: true,
    add: ["0.0.0.0/1", "128.0.0.0/1"]
      .map(
        (half) =>
          `ip -n "$pod" route add ${half} via 169.254.1.1 dev "$CNI_IFNAME"`,
      )
      .join("\n"),
  });
  const pod = await routed.pod("alpha,taker");
  await routed.cluster.add(pod);
  expect(await shown(pod)).toMatchObject({
    main: ["via 10.71.0.1 dev eth0"],
    rules: ["1000 from 10.99.0.5 lookup 1000"],
  });
  expect(await routed.leaves(pod, outside4)).toBe("eth0");
  expect(await routed.answers(pod)).toMatchObject({
    "10.71.0.2": "eth0",
    "10.99.0.5": "eth1",
  });
  await routed.cluster.check(pod);
  await routed.cluster.del(pod);
  expect(await routed.node.remains()).toEqual(nothing);
  expect(await shown(pod)).toEqual({ main: [], ...untouched });
});

describe("a plugin that replaces the default route that it finds", () => {
  const replacing = {
    type: "taker",
    address: "10.99.0.5",
    withoutDefault: true,
    add: `ip -n "$pod" route replace default via 169.254.1.1 dev "$CNI_IFNAME"
      ip -n "$pod" -6 route del default
      ip -n "$pod" -6 route add default dev "$CNI_IFNAME"`,
  };

  test.each(["alpha,taker", "alpha,beta,taker", "beta@net1,alpha,taker@net2"])(
    "%s: the primary has it, each address answers",
    async (cni) => {
      await using routed = await RoutedCluster.start();
      insist(routed.node, replacing);
      const pod = await routed.pod(cni);
      await routed.cluster.add(pod);
      expect((await shown(pod)).main).toEqual(main(1, "eth0"));
      const answers = Object.entries(await routed.answers(pod));
      const last = cni.endsWith("net2")
        ? "net2"
        : cni.includes("beta")
          ? "eth2"
          : "eth1";
      const second = cni.startsWith("beta") ? "net1" : "eth1";
      for (const [address, ifname] of answers) {
        const expected = address.includes("71")
          ? "eth0"
          : address.includes("72")
            ? second
            : last;
        expect([address, ifname]).toEqual([address, expected]);
      }
      expect(routed.node.log()).toContain(
        '"msg":"put replaced default routes back"',
      );
      await routed.cluster.check(pod);
      await routed.cluster.del(pod);
      expect(await routed.node.remains()).toEqual(nothing);
      expect(await shown(pod)).toEqual({ main: [], ...untouched });
    },
  );

  test('"defaultRoutes": "keep": its route stays', async () => {
    await using routed = await RoutedCluster.start({ alpha: "4" });
    insist(routed.node, replacing);
    const pod = await routed.pod("alpha,taker");
    await routed.cluster.add(pod, { config: { defaultRoutes: "keep" } });
    expect((await shown(pod)).main).toContain("via 169.254.1.1 dev eth1");
    expect((await shown(pod)).main).not.toContain("via 10.71.0.1 dev eth0");
  });
});

describe('"defaultRoutes": "keep"', () => {
  test("nothing is moved", async () => {
    await using routed = await RoutedCluster.start({ alpha: "4", beta: "4" });
    const pod = await routed.pod("alpha,beta");
    const config = { defaultRoutes: "keep" };
    await routed.cluster.add(pod, { config });
    expect(await shown(pod)).toEqual({
      main: ["via 10.72.0.1 dev eth1", "via 10.71.0.1 dev eth0"],
      ...untouched,
    });
    const { status } = routed.cluster.written() as { status: object[] };
    expect(status).toMatchObject([
      { gateway: ["10.71.0.1"] },
      { gateway: ["10.72.0.1"] },
    ]);
    expect(await linesOf(routed)).toEqual([]);
    await routed.cluster.del(pod, { config });
    expect(await routed.node.remains()).toEqual(nothing);
  });
});
