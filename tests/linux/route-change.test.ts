/**
 * Applying a plan, undoing it, and taking default routes out of a plugin's way, in real
 * network namespaces; a double in front of the kernel refuses what it rarely does.
 */
import { describe, expect, test } from "bun:test";
import { readlinkSync } from "node:fs";
import { CniError } from "../../lib/cni/error.ts";
import { StepError, SystemError } from "../../lib/linux/errno.ts";
import {
  type Plan,
  type PolicyTable,
  Rtnetlink,
  applyPlan,
  isReachable,
  planDefaultRoutes,
  putBack,
  removeTables,
  restore,
  returnDefaultRoutes,
  revertPlan,
  snapshotOf,
  takeOut,
  exitRoutesOver,
} from "../../lib/linux/routes.ts";
import { routeVia } from "../../lib/linux/route.ts";
import type { Routing } from "../../lib/linux/rtnetlink.ts";
import {
  type Wish,
  ip,
  planFor,
  routingOf,
  settle,
  startPod,
  table,
} from "./pod.ts";

const both = `ip route add default via 10.0.0.1 dev eth0
  ip route prepend default via 10.1.0.1 dev net1
  ip -6 route append default via fd00::1 dev eth0
  ip -6 route append default via fd01::1 dev net1`;

describe("applyPlan", () => {
  test("adds everything before it removes anything", async () => {
    await using pod = await startPod(both);
    using real = new Rtnetlink(pod.path);
    const plan = planFor(real, {});
    const orders: string[] = [];
    applyPlan(
      observed(real, (order) => orders.push(order)),
      plan,
    );
    expect(orders.join(" ")).toMatch(
      /^(?:addRoute )+(?:addRule )+(?:removeRoute ?)+$/,
    );
  });

  test("our own network namespace is not touched", async () => {
    await using pod = await startPod(both);
    const own = readlinkSync("/proc/thread-self/ns/net");
    settle(pod);
    expect(readlinkSync("/proc/thread-self/ns/net")).toBe(own);
  });

  test.each<[string, string[], string, string]>([
    [
      "IPv4",
      ["10.9.0.1"],
      '"default via 10.9.0.1 dev net1": network is unreachable',
      "ENETUNREACH: Nexthop has invalid gateway",
    ],
    [
      "IPv6",
      ["fd09::1"],
      '"default via fd09::1 dev net1": no route to host',
      "EHOSTUNREACH",
    ],
    [
      "the pod's own address",
      ["fd01::2"],
      '"default via fd01::2 dev net1": invalid argument',
      "EINVAL: Gateway can not be a local address",
    ],
  ])(
    "wrong gateway, %s: only tables of our own are made, and can be removed",
    async (_, gateways, msg, details) => {
      await using pod = await startPod(both);
      const before = await table(pod);
      using routing = new Rtnetlink(pod.path);
      const plan = planFor(routing, { gateways });
      expect(refusal(() => applyPlan(routing, plan))).toEqual({
        cniVersion: "1.1.0",
        code: 999,
        msg: `failed to add route ${msg}`,
        details,
      });
      removeTables(routing, tablesOf(plan));
      expect(await table(pod)).toBe(before);
    },
  );

  test.each<[Order, string]>([
    ["addRoute", 'failed to add route "10.1.0.0/24 dev net1 table 1000"'],
    ["addRule", 'failed to add rule "from 10.1.0.2 lookup 1000"'],
    ["removeRoute", 'failed to delete route "default via 10.1.0.1 dev net1"'],
  ])("%s is refused, the error names the step", async (refused, msg) => {
    await using pod = await startPod(both);
    using real = new Rtnetlink(pod.path);
    const routing = observed(real, (order) => {
      if (order === refused) throw new SystemError("EBUSY");
    });
    expect(refusal(() => applyPlan(routing, planFor(real, {})))).toEqual({
      cniVersion: "1.1.0",
      code: 999,
      msg: `${msg}: device or resource busy`,
      details: "EBUSY",
    });
  });
});

describe("a kernel without policy routing", () => {
  test("default routes are removed in place of moved", async () => {
    await using pod = await startPod(both);
    using routing = new Rtnetlink(pod.path);
    const links = routing.links();
    const plan = planDefaultRoutes(
      { ...snapshotOf(routing), addresses: routing.addresses(), rules: [] },
      {
        attachments: ["eth0", "net1"].map(
          (name) => new Set([links.get(name) ?? 0]),
        ),
        primary: 0,
        move: true,
      },
    );
    applyPlan(routing, plan);
    expect(await routingOf(pod)).toEqual({
      main: [
        "default via 10.0.0.1 dev eth0",
        "default via fd00::1 dev eth0 metric 1024 pref medium",
      ],
      tables: {},
      rules: [],
    });
    expect(plan.departures).toEqual(
      (["4", "6"] as const).map((family) => ({
        attachment: 1,
        family,
        gateways: [family === "4" ? "10.1.0.1" : "fd01::1"],
        table: undefined,
        addresses: [],
        staying: [],
        removed: [
          { family, message: expect.stringMatching(/^[0-9a-f]+$/) as string },
        ],
      })),
    );
  });
});

describe("revertPlan", () => {
  test.each<[string, string, Wish]>([
    ["a network that came", both, { arrived: "net1" }],
    ["a request", both, { gateways: ["10.1.0.1", "fd01::1"] }],
    [
      "a request that removes others",
      `${both}
       ip route add default via 10.2.0.1 dev net2 metric 77`,
      { gateways: ["10.1.0.1"], keep: true },
    ],
    [
      "a multipath route",
      `ip route add default nexthop via 10.0.0.1 dev eth0 nexthop via 10.1.0.1 dev net1`,
      { arrived: "net1" },
    ],
  ])("%s, applied or not: the pod as before", async (_, commands, wish) => {
    await using pod = await startPod(commands);
    const before = await routingOf(pod);
    using routing = new Rtnetlink(pod.path);
    const plan = planFor(routing, wish);
    revertPlan(routing, plan);
    expect(inAnyOrder(await routingOf(pod))).toEqual(inAnyOrder(before));
    applyPlan(routing, plan);
    removeTables(routing, tablesOf(plan));
    revertPlan(routing, plan);
    expect(inAnyOrder(await routingOf(pod))).toEqual(inAnyOrder(before));
  });
});

/** Routes of one destination and metric in any order. */
function inAnyOrder({ main, ...rest }: Awaited<ReturnType<typeof routingOf>>) {
  return { main: main.toSorted(), ...rest };
}

test("returnDefaultRoutes, moves those of a family back and removes what it had in the table", async () => {
  await using pod = await startPod(both);
  const before = await routingOf(pod);
  const [first, ...others] = tablesOf(settle(pod, { arrived: "net1" }));
  const addresses = [first, ...others].flatMap((one) => one?.addresses ?? []);
  const made = { table: first?.table ?? 0, addresses };
  await pod.ip("link set eth0 down");
  using routing = new Rtnetlink(pod.path);
  for (const family of ["4", "6", "4"] as const) {
    const isFirst = (await routingOf(pod)).rules.some((rule) =>
      rule.includes(family === "4" ? "10." : "fd"),
    );
    const returned = returnDefaultRoutes(routing, made, family);
    expect(returned.map((route) => route.family)).toEqual(
      isFirst ? [family] : [],
    );
  }
  const after = await routingOf(pod);
  expect({ ...after, main: [] }).toEqual({ ...before, main: [] });
  expect(after.main).toHaveLength(2);
  expect(after.main.every((line) => line.includes("dev net1"))).toBe(true);
});

test("returnDefaultRoutes, routes to both halves: as before", async () => {
  await using pod = await startPod(`ip route add default via 10.0.0.1 dev eth0
    ip route add 0.0.0.0/1 via 10.1.0.1 dev net1 mtu 1400
    ip route add 128.0.0.0/1 via 10.1.0.1 dev net1`);
  const before = await table(pod);
  const [made] = tablesOf(settle(pod));
  expect(await table(pod)).not.toBe(before);
  using routing = new Rtnetlink(pod.path);
  if (made) expect(returnDefaultRoutes(routing, made, "4")).toHaveLength(2);
  expect(await table(pod)).toBe(before);
});

test.each([
  "ip route add default via 10.0.0.1 dev eth0",
  "ip route add default via 10.0.0.1 dev eth0 metric 50",
  "ip route add default dev eth0",
  "ip -6 route add default via fd00::1 dev eth0",
  "ip -6 route add default dev eth0",
  "ip route add default via 192.0.2.1 dev eth0 onlink",
  "ip -6 route add default via 2001:db8::1 dev eth0 onlink",
  "ip route add default via 10.0.0.1 dev eth0 proto static src 10.0.0.2 mtu 1400 advmss 1300 initcwnd 20",
  "ip route add default nexthop via 10.0.0.1 dev eth0 weight 3 nexthop via 10.0.0.9 dev eth0",
  "ip -6 route add default via fd00::1 dev eth0 src fd00::2 mtu 1400 hoplimit 9 pref high",
])("returnDefaultRoutes, of %p, makes what was removed anew", async (made) => {
  await using pod = await startPod(`${made}
    ip route prepend default via 10.1.0.1 dev net1
    ip -6 route append default via fd01::1 dev net1 metric 1`);
  const before = await routingOf(pod);
  const wish: Wish = { gateways: ["10.1.0.1", "fd01::1"], keep: true };
  const { departures } = settle(pod, wish);
  const [departure] = departures;
  expect(departures).toHaveLength(1);
  if (!departure) return;
  const { removed, family } = departure;
  const kept = { table: 0, addresses: [], removed };
  using routing = new Rtnetlink(pod.path);
  const other = family === "4" ? "6" : "4";
  expect(returnDefaultRoutes(routing, kept, other)).toEqual([]);
  expect(returnDefaultRoutes(routing, kept, family)).toHaveLength(1);
  const after = await routingOf(pod);
  expect(after.main.toSorted()).toEqual(before.main.toSorted());
});

test("planDefaultRoutes, an advertised route of metric 1: the owner's gets 1, as 0 means 1024", async () => {
  await using pod = await startPod(`ip -6 route add default via fd00::1 dev eth0
    ip -6 route add default via fe80::9 dev net1 proto ra metric 1`);
  using routing = new Rtnetlink(pod.path);
  const { addRoutes } = planFor(routing, {});
  expect(addRoutes.map(({ metric }) => metric)).toEqual([1]);
});

test("planDefaultRoutes, keep: what a router advertises is not remembered, it comes again", async () => {
  await using pod = await startPod(
    "ip -6 route add default via fd00::1 dev eth0 proto ra",
  );
  const { departures } = settle(pod, { gateways: ["fd01::1"], keep: true });
  expect(departures).toMatchObject([{ family: "6", removed: [] }]);
});

describe("removeTables", () => {
  test("removes only the tables that were made; a second time is no error", async () => {
    await using pod = await startPod(
      `${both}
       ip rule add from 10.1.0.2 lookup 77 pref 77
       ip route add 192.0.2.0/24 via 10.2.0.1 dev net2 table 1001`,
    );
    const tables = tablesOf(settle(pod));
    expect(tables).toHaveLength(2);
    using routing = new Rtnetlink(pod.path);
    for (let i = 0; i < 2; i++) {
      removeTables(routing, tables);
      expect(await routingOf(pod)).toEqual({
        main: [
          "default via 10.0.0.1 dev eth0",
          "default via fd00::1 dev eth0 metric 1024 pref medium",
        ],
        tables: { 1001: ["192.0.2.0/24 via 10.2.0.1 dev net2"] },
        rules: ["77: from 10.1.0.2 lookup 77"],
      });
    }
  });
});

describe("takeOut and putBack", () => {
  const calico = `ip addr flush dev eth0 scope global; ip addr add 10.0.0.2/32 dev eth0
    ip route add 169.254.1.1 dev eth0 scope link
    ip route add default via 169.254.1.1 dev eth0 mtu 1400
    ip route append default via 10.2.0.1 dev net2
    ip route add default via 169.254.1.1 dev eth0 metric 5
    ip -6 route add fd00::9 dev eth0
    ip -6 route add default via fd00::9 dev eth0`;

  test("default routes of these interfaces and routes to their gateways", async () => {
    await using pod = await startPod(calico);
    using routing = new Rtnetlink(pod.path);
    const before = await table(pod);
    const eth0 = new Set([routing.links().get("eth0") ?? 0]);
    const taken = takeOut(routing, eth0);
    expect(exitRoutesOver(routing.routes(), eth0)).toEqual([]);
    const without = await table(pod);
    const missing = before
      .split("\n")
      .filter((line) => !without.includes(line))
      .toSorted();
    expect(missing).toEqual([
      "169.254.1.1 dev eth0 scope link",
      "default via 169.254.1.1 dev eth0 metric 5",
      "default via 169.254.1.1 dev eth0 mtu 1400",
      "default via fd00::9 dev eth0 metric 1024 pref medium",
      "fd00::9 dev eth0 metric 1024 pref medium",
    ]);
    putBack(routing, taken);
    const sorted = (text: string) => text.split("\n").toSorted();
    expect(sorted(await table(pod))).toEqual(sorted(before));
  });

  test("routes of an interface that is gone are not put back", async () => {
    await using pod = await startPod(calico);
    using routing = new Rtnetlink(pod.path);
    const links = routing.links();
    const two = new Set([links.get("eth0") ?? 0, links.get("net2") ?? 0]);
    const taken = takeOut(routing, two);
    await pod.ip("link delete eth0");
    putBack(routing, taken);
    expect((await routingOf(pod)).main).toEqual([
      "default via 10.2.0.1 dev net2",
    ]);
  });

  test("nothing to take out", async () => {
    await using pod = await startPod(calico);
    using routing = new Rtnetlink(pod.path);
    const net1 = new Set([routing.links().get("net1") ?? 0]);
    const before = await table(pod);
    expect(takeOut(routing, net1)).toEqual([]);
    expect(await table(pod)).toBe(before);
  });
});

describe("restore", () => {
  const eth0 = `ip -4 addr flush dev eth0; ip addr add 10.0.0.2/32 dev eth0
    ip route add 169.254.1.1 dev eth0 scope link
    ip route add default via 169.254.1.1 dev eth0
    ip -6 route add default via fd00::1 dev eth0
    ip route add 0.0.0.0/1 via 169.254.1.1 dev eth0
    ip route add 128.0.0.0/1 via 169.254.1.1 dev eth0`;

  /** How many were put back, and the default routes then. */
  async function restored(change: string): Promise<string[]> {
    await using pod = await startPod(eth0);
    using routing = new Rtnetlink(pod.path);
    const index = routing.links().get("eth0") ?? 0;
    const ways = exitRoutesOver(routing.routes(), new Set([index]));
    await pod.run("sh", "-ec", change);
    const count = restore(routing, ways).length;
    expect(restore(routing, ways)).toEqual([]);
    const { main } = await routingOf(pod);
    return [`${count}`, ...main];
  }

  test.each<[string, string, string[]]>([
    [
      "what was replaced, the route to its gateway first",
      `ip route replace 169.254.1.1 dev net1 scope link
       ip route replace default via 169.254.1.1 dev net1
       ip -6 route del default; ip -6 route add default via fd01::1 dev net1 metric 9`,
      [
        "3",
        "default via 169.254.1.1 dev eth0",
        "default via fd00::1 dev eth0 metric 1024 pref medium",
      ],
    ],
    [
      "routes to both halves",
      `ip route del 0.0.0.0/1; ip route replace 128.0.0.0/1 via 10.1.0.1 dev net1`,
      ["2"],
    ],
    [
      "not what is there with another metric",
      `ip route del default; ip route add default via 169.254.1.1 dev eth0 metric 7
       ip -6 route del default; ip -6 route add default via fd00::1 dev eth0 metric 7`,
      [
        "0",
        "default via 169.254.1.1 dev eth0 metric 7",
        "default via fd00::1 dev eth0 metric 7 pref medium",
      ],
    ],
    [
      "not what is a part of a multipath route",
      `ip route replace default nexthop via 169.254.1.1 dev eth0 nexthop via 10.1.0.1 dev net1`,
      ["0", "default via fd00::1 dev eth0 metric 1024 pref medium"],
    ],
  ])("%s", async (_, change, expected) => {
    const lines = await restored(change);
    expect(lines.filter((line) => expected.includes(line))).toEqual(expected);
  });

  test("10,000 routes, as a running pod may make them: not compared in pairs", () => {
    const routes = Array.from({ length: 10_000 }, (_, i) =>
      routeVia(ip(`10.0.${i >> 8}.${i & 255}`), 2, i),
    );
    const routing = { routes: () => routes, links: () => new Map() };
    expect(restore(routing as unknown as Routing, routes)).toEqual([]);
  });
});

describe("isReachable", () => {
  test.each([
    ["10.1.0.1", true],
    ["10.1.0.254", true],
    ["10.0.0.1", false],
    ["fd01::77", true],
    ["fd00::1", false],
    ["fe80::1", true],
    ["169.254.1.1", true],
    ["169.254.1.2", false],
    ["172.16.0.1", false],
  ])("%s over net1: %p", async (gateway, expected) => {
    await using pod = await startPod(
      `ip route add 169.254.1.1 dev net1 scope link
       ip route add 172.16.0.0/12 via 10.1.0.9 dev net1
       ip route add default dev net1 scope link`,
    );
    using routing = new Rtnetlink(pod.path);
    const net1 = routing.links().get("net1") ?? 0;
    expect(isReachable(snapshotOf(routing), net1, ip(gateway))).toBe(expected);
  });
});

function tablesOf({ departures }: Plan): PolicyTable[] {
  return departures.flatMap((one) =>
    one.table === undefined ? [] : { ...one, table: one.table },
  );
}

type Order = "addRoute" | "removeRoute" | "addRule" | "removeRule";

/** The same routing; `before` sees every order and may refuse it. */
function observed(real: Routing, before: (order: Order) => void): Routing {
  const order =
    <T>(name: Order, work: (value: T) => void) =>
    (value: T) => {
      before(name);
      work(value);
    };
  return {
    links: () => real.links(),
    addresses: () => real.addresses(),
    routes: () => real.routes(),
    rules: () => real.rules(),
    addRoute: order("addRoute", (route) => real.addRoute(route)),
    removeRoute: order("removeRoute", (route) => real.removeRoute(route)),
    addRule: order("addRule", (rule) => real.addRule(rule)),
    removeRule: order("removeRule", (rule) => real.removeRule(rule)),
  };
}

function refusal(work: () => unknown) {
  try {
    work();
  } catch (error) {
    if (error instanceof StepError)
      return CniError.from(error).toObject("1.1.0");
    throw error;
  }
  throw new Error("nothing was thrown");
}
