/**
 * Moving the default routes of a pod, in real network namespaces. Pods are built
 * and looked at with iproute2, which the code under test does not use.
 */
import { describe, expect, test } from "bun:test";
import { readlinkSync } from "node:fs";
import { type Ip, parseIp } from "../../lib/cni/address.ts";
import { CniError } from "../../lib/cni/error.ts";
import {
  moveDefaultRoutes,
  moveWithin,
} from "../../lib/netlink/defaultroute.ts";
import { SystemError } from "../../lib/cni/errno.ts";
import { type Routing, Rtnetlink } from "../../lib/netlink/rtnetlink.ts";
import { Netns } from "../support/netns.ts";
import {
  type DefaultRoutes,
  defaultRoutes,
  otherRoutes,
  startPod,
  table,
} from "./pod.ts";

const net1 = ["default via 10.1.0.1 dev net1"];
const net1v6 = ["default via fd01::1 dev net1 metric 512 pref medium"];

/** Name, what is configured in the pod, the gateways, the default routes then. */
type Row = [string, string, string[], DefaultRoutes];

const eth0 = "ip route add default via 10.0.0.1 dev eth0";
const eth0v6 = "ip -6 route add default via fd00::1 dev eth0";
const shownEth0 = ["default via 10.0.0.1 dev eth0"];
const shownEth0v6 = ["default via fd00::1 dev eth0 metric 1024 pref medium"];

const rows: Row[] = [
  ["IPv4", eth0, ["10.1.0.1"], { v4: net1, v6: [] }],
  ["IPv6", eth0v6, ["fd01::1"], { v4: [], v6: net1v6 }],
  [
    "both",
    `${eth0}; ${eth0v6}`,
    ["fd01::1", "10.1.0.1"],
    { v4: net1, v6: net1v6 },
  ],
  ["no gateway", `${eth0}; ${eth0v6}`, [], { v4: shownEth0, v6: shownEth0v6 }],
  [
    "the other family stays, IPv4",
    `${eth0}; ${eth0v6}`,
    ["fd01::1"],
    { v4: shownEth0, v6: net1v6 },
  ],
  [
    "the other family stays, IPv6",
    `${eth0}; ${eth0v6}`,
    ["10.1.0.1"],
    { v4: net1, v6: shownEth0v6 },
  ],
  ["none before", "", ["10.1.0.1", "fd01::1"], { v4: net1, v6: net1v6 }],
  [
    "several interfaces and metrics",
    `ip route add default via 10.0.0.1 dev eth0 metric 10
     ip route add default via 10.2.0.1 dev net2 metric 20
     ip route add default dev net2 metric 30
     ip -6 route add default via fd00::1 dev eth0 metric 1
     ip -6 route add default via fd02::1 dev net2 metric 4096
     ip -6 route add default dev net2 metric 5000`,
    ["10.1.0.1", "fd01::1"],
    { v4: net1, v6: net1v6 },
  ],
  [
    "several of one metric",
    `ip route append default via 10.0.0.1 dev eth0
     ip route append default via 10.0.0.3 dev eth0 proto static
     ip route append default dev net2
     ip -6 route append default via fd00::1 dev eth0 metric 512
     ip -6 route append default via fd02::1 dev net2 metric 512`,
    ["10.1.0.1", "fd01::1"],
    { v4: net1, v6: net1v6 },
  ],
  [
    "older ones of the interface",
    `ip route add default via 10.1.0.9 dev net1
     ip route add default via 10.1.0.1 dev net1 metric 7
     ip -6 route add default via fd01::9 dev net1 metric 1
     ip -6 route add default via fd01::1 dev net1`,
    ["10.1.0.1", "fd01::1"],
    { v4: net1, v6: net1v6 },
  ],
  [
    "multipath",
    `ip route add default nexthop via 10.0.0.1 dev eth0 weight 3 nexthop via 10.2.0.1 dev net2
     ip route add default metric 9 nexthop via 10.1.0.1 dev net1 nexthop via 10.2.0.1 dev net2
     ip -6 route add default nexthop via fd00::1 dev eth0 weight 3 nexthop via fd02::1 dev net2`,
    ["10.1.0.1", "fd01::1"],
    { v4: net1, v6: net1v6 },
  ],
  [
    "multipath with the wanted one in it",
    `ip route add default nexthop via 10.0.0.1 dev eth0 nexthop via 10.1.0.1 dev net1
     ip -6 route add default metric 512 nexthop via fd00::1 dev eth0 nexthop via fd01::1 dev net1`,
    ["10.1.0.1", "fd01::1"],
    { v4: net1, v6: net1v6 },
  ],
  [
    "attributes, types of service, sources",
    `ip route add default via 10.0.0.1 dev eth0 src 10.0.0.2 mtu 1400 advmss 1300 proto static
     ip route add default via 10.0.0.1 dev eth0 tos 0x10
     ip route add default via 172.31.0.1 dev eth0 onlink metric 5
     ip -6 route add default from fd00::/64 via fd00::1 dev eth0 mtu 1300
     ip -6 route add default via fd00::1 dev eth0 pref high src fd00::2`,
    ["10.1.0.1", "fd01::1"],
    { v4: net1, v6: net1v6 },
  ],
  [
    "routes that lead nowhere",
    `ip route add blackhole default
     ip route add unreachable default metric 99
     ip -6 route add unreachable default metric 5`,
    ["10.1.0.1", "fd01::1"],
    { v4: net1, v6: net1v6 },
  ],
  [
    "nexthop objects",
    `ip nexthop add id 1 via 10.0.0.1 dev eth0; ip nexthop add id 2 via fd00::1 dev eth0
     ip nexthop add id 3 via 10.2.0.1 dev net2; ip nexthop add id 4 group 1/3
     ip route add default nhid 4; ip route add default nhid 1 metric 8; ip -6 route add default nhid 2`,
    ["10.1.0.1", "fd01::1"],
    { v4: net1, v6: net1v6 },
  ],
  [
    "of router advertisements, two routers",
    `ip -6 route append default via fe80::1 dev eth0 proto ra expires 1800
     ip -6 route append default via fe80::9 dev net1 proto ra expires 1800 metric 512`,
    ["fd01::1"],
    { v4: [], v6: net1v6 },
  ],
  [
    "a router's own advertisement becomes lasting",
    "ip -6 route add default via fe80::1 dev net1 proto ra expires 1800",
    ["fe80::1"],
    { v4: [], v6: ["default via fe80::1 dev net1 metric 512 pref medium"] },
  ],
  [
    "one as wanted that would expire",
    "ip -6 route add default via fd01::1 dev net1 metric 100 expires 1800",
    ["fd01::1"],
    { v4: [], v6: net1v6 },
  ],
  [
    "the very one that would expire",
    "ip -6 route add default via fd01::1 dev net1 metric 512 expires 1800",
    ["fd01::1"],
    { v4: [], v6: net1v6 },
  ],
  [
    "link-local gateway",
    eth0v6,
    ["fe80::1"],
    { v4: [], v6: ["default via fe80::1 dev net1 metric 512 pref medium"] },
  ],
  [
    "addresses that are still tentative",
    `${eth0v6}; ip addr add fd0a::2/64 dev net1`,
    ["fd0a::1"],
    { v4: [], v6: ["default via fd0a::1 dev net1 metric 512 pref medium"] },
  ],
  [
    "one that is already as wanted is kept as it is",
    `${eth0} metric 3
     ip route add default via 10.1.0.1 dev net1 proto static src 10.1.0.2 mtu 1400
     ${eth0v6}; ip -6 route add default via fd01::1 dev net1 metric 100 mtu 1400`,
    ["10.1.0.1", "fd01::1"],
    {
      v4: ["default via 10.1.0.1 dev net1 proto static src 10.1.0.2 mtu 1400"],
      v6: ["default via fd01::1 dev net1 metric 100 mtu 1400 pref medium"],
    },
  ],
];

describe("moveDefaultRoutes", () => {
  test.each(rows)("%s", async (_, commands, gateways, expected) => {
    await using pod = await startPod(commands);
    const others = await otherRoutes(pod);
    await moveDefaultRoutes(pod.path, "net1", gateways.map(ip));
    expect(await defaultRoutes(pod)).toEqual(expected);
    expect(await otherRoutes(pod)).toEqual(others);
  });

  test("again, nothing is written", async () => {
    await using pod = await startPod(`${eth0}; ${eth0v6}`);
    const gateways = ["10.1.0.1", "fd01::1"].map(ip);
    await moveDefaultRoutes(pod.path, "net1", gateways);
    const once = await table(pod);
    using real = new Rtnetlink(pod.path);
    const { routing, orders } = observed(real);
    moveWithin(routing, "net1", gateways);
    expect(orders).toEqual([]);
    expect(await table(pod)).toBe(once);
  });

  test("the pod is never without a default route", async () => {
    await using pod = await startPod(
      `${eth0}; ${eth0v6}; ip route append default via 10.2.0.1 dev net2`,
    );
    using real = new Rtnetlink(pod.path);
    const counts: [v4: number, v6: number][] = [];
    const { routing } = observed(real, () => {
      counts.push([
        real.defaultRoutes("4").length,
        real.defaultRoutes("6").length,
      ]);
    });
    moveWithin(routing, "net1", ["10.1.0.1", "fd01::1"].map(ip));
    // IPv4 and IPv6 before each order: two are added, two and one removed.
    expect(counts).toEqual([
      [2, 1],
      [3, 1],
      [3, 2],
      [2, 2],
      [1, 2],
    ]);
  });

  test("our own network namespace is not touched", async () => {
    await using pod = await startPod(eth0);
    const own = readlinkSync("/proc/thread-self/ns/net");
    await moveDefaultRoutes(pod.path, "net1", [ip("10.1.0.1")]);
    expect(readlinkSync("/proc/thread-self/ns/net")).toBe(own);
    await rejection(moveDefaultRoutes(pod.path, "net1", [ip("10.9.0.1")]));
    expect(readlinkSync("/proc/thread-self/ns/net")).toBe(own);
  });
});

describe("moveDefaultRoutes, failures", () => {
  const everything = `
    ip route add default via 10.0.0.1 dev eth0 src 10.0.0.2 mtu 1400 proto static
    ip route append default via 10.0.0.3 dev eth0
    ip route append default dev net2
    ip route add default metric 9 nexthop via 10.0.0.1 dev eth0 weight 3 nexthop via 10.2.0.1 dev net2
    ip route add default via 172.31.0.1 dev eth0 onlink metric 12
    ip route add unreachable default metric 99
    ip -6 route add default metric 7 nexthop via fd00::1 dev eth0 weight 3 nexthop via fd02::1 dev net2
    ip -6 route add default via fe80::1 dev eth0 proto ra expires 1800 pref low
    ip -6 route add default metric 2000 via fd02::9 dev net2 mtu 1300 proto static
    ip -6 route add default from fd00::/64 via fd00::1 dev eth0`;

  test.each<[string, string, string[], string, string]>([
    [
      "IPv4",
      "",
      ["10.9.0.1"],
      "via 10.9.0.1 dev net1: network is unreachable",
      "ENETUNREACH: Nexthop has invalid gateway",
    ],
    [
      "IPv6",
      "",
      ["fd09::1"],
      "via fd09::1 dev net1: no route to host",
      "EHOSTUNREACH",
    ],
    [
      "IPv6 after IPv4",
      "",
      ["10.1.0.1", "fd09::1"],
      "via fd09::1 dev net1: no route to host",
      "EHOSTUNREACH",
    ],
    [
      "IPv4 after IPv6",
      "",
      ["fd01::1", "10.9.0.1"],
      "via 10.9.0.1 dev net1: network is unreachable",
      "ENETUNREACH: Nexthop has invalid gateway",
    ],
    [
      "the pod's own address",
      "",
      ["10.1.0.1", "fd01::2"],
      "via fd01::2 dev net1: invalid argument",
      "EINVAL: Gateway can not be a local address",
    ],
    [
      "an interface that is down",
      "ip link set net1 down",
      ["10.1.0.1"],
      "via 10.1.0.1 dev net1: network is unreachable",
      "ENETUNREACH: Nexthop has invalid gateway",
    ],
    [
      "an interface without IPv6",
      "echo 1 >/proc/sys/net/ipv6/conf/net1/disable_ipv6",
      ["10.1.0.1", "fe80::1"],
      "via fe80::1 dev net1: permission denied",
      "EACCES: IPv6 is disabled on nexthop device",
    ],
  ])(
    "wrong gateway, %s: everything as before",
    async (_, commands, gateways, msg, details) => {
      await using pod = await startPod(`${everything}\n${commands}`);
      const before = await table(pod);
      expect(
        await rejection(moveDefaultRoutes(pod.path, "net1", gateways.map(ip))),
      ).toEqual({
        cniVersion: "1.1.0",
        code: 999,
        msg: `failed to add default route ${msg}`,
        details,
      });
      expect(await table(pod)).toBe(before);
    },
  );

  // The order of removal: IPv4 backwards, then IPv6 backwards.
  test.each(Array.from({ length: 11 }, (_, i) => [i + 1]))(
    "the removal number %i fails, everything as before",
    async (failing) => {
      await using pod = await startPod(everything);
      const before = await table(pod);
      using real = new Rtnetlink(pod.path);
      let removals = 0;
      const { routing } = observed(real, (order) => {
        if (order === "remove" && ++removals === failing)
          throw new SystemError("EBUSY");
      });
      const thrown = await rejection(
        (async () =>
          moveWithin(routing, "net1", ["10.1.0.1", "fd01::1"].map(ip)))(),
      );
      expect(thrown).toEqual({
        cniVersion: "1.1.0",
        code: 999,
        msg: expect.stringMatching(
          /^failed to delete default route .*: device or resource busy$/,
        ),
        details: "EBUSY",
      });
      expect(await table(pod)).toBe(before);
    },
  );

  test("the rollback fails too, the details say so and it goes on", async () => {
    await using pod = await startPod(
      `${eth0}; ip route append default via 10.2.0.1 dev net2`,
    );
    using real = new Rtnetlink(pod.path);
    let removals = 0;
    const { routing } = observed(real, (order) => {
      if (order === "remove" && ++removals >= 2) throw new SystemError("EBUSY");
    });
    const thrown = await rejection(
      (async () => moveWithin(routing, "net1", [ip("10.1.0.1")]))(),
    );
    expect(thrown).toEqual({
      cniVersion: "1.1.0",
      code: 999,
      msg: "failed to delete default route via 10.0.0.1 dev eth0: device or resource busy",
      details:
        "EBUSY; roll back: failed to delete default route via 10.1.0.1 dev net1: device or resource busy",
    });
    expect((await defaultRoutes(pod)).v4).toEqual([
      ...net1,
      ...shownEth0,
      "default via 10.2.0.1 dev net2",
    ]);
  });

  test("others keep adding routes, given up and everything as before", async () => {
    await using pod = await startPod(eth0);
    const before = await table(pod);
    using real = new Rtnetlink(pod.path);
    const [rival] = real.defaultRoutes("4");
    let rounds = 0;
    const routing: Routing = {
      links: () => real.links(),
      defaultRoutes: (family) => real.defaultRoutes(family),
      add: (route, place) => real.add(route, place),
      remove(route) {
        real.remove(route);
        if (rival && route.metric === 0 && rounds++ < 3)
          real.add(rival, "last");
      },
    };
    expect(
      await rejection(
        (async () => moveWithin(routing, "net1", [ip("10.1.0.1")]))(),
      ),
    ).toEqual({
      cniVersion: "1.1.0",
      code: 999,
      msg: "failed to move the default route: others keep changing the default routes",
    });
    expect(await table(pod)).toBe(before);
  });

  test("another removed the same route meanwhile, no failure", async () => {
    await using pod = await startPod(eth0);
    using real = new Rtnetlink(pod.path);
    const routing: Routing = {
      links: () => real.links(),
      defaultRoutes: (family) => real.defaultRoutes(family),
      add: (route, place) => real.add(route, place),
      remove(route) {
        real.remove(route);
        real.remove(route);
      },
    };
    moveWithin(routing, "net1", [ip("10.1.0.1")]);
    expect((await defaultRoutes(pod)).v4).toEqual(net1);
  });

  test("no such interface, an error that names it", async () => {
    await using pod = await startPod(eth0);
    const before = await table(pod);
    expect(
      await rejection(moveDefaultRoutes(pod.path, "net9", [ip("10.1.0.1")])),
    ).toEqual({
      cniVersion: "1.1.0",
      code: 999,
      msg: 'failed to move the default route: no interface "net9" in the network namespace',
    });
    expect(await table(pod)).toBe(before);
  });

  test("no such network namespace, an error that names it", async () => {
    const pod = await Netns.create();
    await pod.remove();
    expect(
      await rejection(moveDefaultRoutes(pod.path, "net1", [ip("10.1.0.1")])),
    ).toEqual({
      cniVersion: "1.1.0",
      code: 999,
      msg: `failed to open network namespace "${pod.path}": no such file or directory`,
      details: "ENOENT",
    });
  });
});

type Order = "add" | "remove";

/** The same routing; `before` sees every order and may refuse it. */
function observed(real: Routing, before: (order: Order) => void = () => {}) {
  const orders: Order[] = [];
  const see = (order: Order) => {
    orders.push(order);
    before(order);
  };
  const routing: Routing = {
    links: () => real.links(),
    defaultRoutes: (family) => real.defaultRoutes(family),
    add(route, place) {
      see("add");
      real.add(route, place);
    },
    remove(route) {
      see("remove");
      real.remove(route);
    },
  };
  return { routing, orders };
}

async function rejection(work: Promise<void>) {
  try {
    await work;
  } catch (error) {
    if (error instanceof CniError) return error.toObject("1.1.0");
    throw error;
  }
  throw new Error("nothing was thrown");
}

function ip(text: string): Ip {
  const parsed = parseIp(text);
  if (!parsed) throw new Error(`no IP address: ${text}`);
  return parsed;
}
