/**
 * The default route of a pod with several networks, in real network namespaces: eth0,
 * net1 and net2 are an attachment each. Pods are built and looked at with iproute2,
 * which the code under test does not use.
 */
import { describe, expect, test } from "bun:test";
import {
  type Routing,
  type Wish,
  otherRoutes,
  routingOf,
  settle,
  startPod,
  table,
} from "./pod.ts";

const defaults = ["eth0", "net1", "net2"];

/** `ip` commands for a default route of each family over each of these. */
function plain(...names: string[]): string {
  return names
    .map((name) => {
      const n = defaults.indexOf(name);
      return `ip route prepend default via 10.${n}.0.1 dev ${name}
        ip -6 route append default via fd0${n}::1 dev ${name}`;
    })
    .join("\n");
}

const main4 = (n: number) => `default via 10.${n}.0.1 dev ${defaults[n]}`;
const main6 = (n: number) =>
  `default via fd0${n}::1 dev ${defaults[n]} metric 1024 pref medium`;

const table4 = (n: number) => [
  main4(n),
  `10.${n}.0.0/24 dev ${defaults[n]} proto kernel scope link src 10.${n}.0.2`,
];
const table6 = (n: number) => [
  `fd0${n}::/64 dev ${defaults[n]} proto kernel metric 256 pref medium`,
  `fe80::/64 dev ${defaults[n]} proto kernel metric 256 pref medium`,
  main6(n),
];
const rule = (address: string, number: number) =>
  `${number}: from ${address} lookup ${number}`;

/** The default routes of one network in the main table, those of others in tables of their own. */
function moved(stays: number, ...others: number[]): Partial<Routing> {
  const rules = (address: (n: number) => string) =>
    others.map((n, i) => rule(address(n), 1000 + i));
  return {
    main: [main4(stays), main6(stays)],
    tables: Object.fromEntries(
      others.map((n, i) => [1000 + i, [...table4(n), ...table6(n)]]),
    ),
    rules: [...rules((n) => `10.${n}.0.2`), ...rules((n) => `fd0${n}::2`)],
  };
}

const nothing: Routing = { main: [], tables: {}, rules: [] };

/** Name, what is configured in the pod, what is wanted, what is there then. */
type Row = [string, string, Wish, Partial<Routing>];

const owned: Row[] = [
  ["two networks", plain("eth0", "net1"), {}, moved(0, 1)],
  ["three networks", plain("eth0", "net1", "net2"), {}, moved(0, 1, 2)],
  [
    "the primary is the last of the list",
    plain("eth0", "net1"),
    { order: ["net1", "net2", "eth0"] },
    moved(0, 1),
  ],
  ["another primary", plain("eth0", "net1"), { primary: "net1" }, moved(1, 0)],
  [
    "one default route, the owner's",
    plain("eth0"),
    {},
    { main: [main4(0), main6(0)] },
  ],
  [
    "the owner has none, the other stays",
    plain("net1"),
    {},
    { main: [main4(1), main6(1)] },
  ],
  ["nobody has one", "", {}, {}],
  [
    "the owner has none, of several the first in the list keeps its own",
    plain("net1", "net2"),
    {},
    moved(1, 2),
  ],
  [
    "each family has its owner",
    `ip route add default via 10.0.0.1 dev eth0
     ip route prepend default via 10.1.0.1 dev net1
     ip -6 route append default via fd02::1 dev net2
     ip -6 route append default via fd01::1 dev net1`,
    {},
    {
      main: [main4(0), main6(1)],
      tables: { 1000: table4(1), 1001: table6(2) },
      rules: [rule("10.1.0.2", 1000), rule("fd02::2", 1001)],
    },
  ],
  [
    "a higher metric stays as the fallback, the same one does not",
    `ip route add default via 10.0.0.1 dev eth0 metric 100
     ip route append default via 10.1.0.1 dev net1 metric 100
     ip route add default via 10.2.0.1 dev net2 metric 200
     ip -6 route add default via fd00::1 dev eth0
     ip -6 route add default via fd01::1 dev net1 metric 2000`,
    {},
    {
      main: [
        "default via 10.0.0.1 dev eth0 metric 100",
        "default via 10.2.0.1 dev net2 metric 200",
        main6(0),
        "default via fd01::1 dev net1 metric 2000 pref medium",
      ],
      tables: {
        1000: [
          "default via 10.1.0.1 dev net1 metric 100",
          ...table4(1).slice(1),
        ],
      },
      rules: [rule("10.1.0.2", 1000)],
    },
  ],
  [
    "of one interface some move and some stay",
    `ip route add default via 10.0.0.1 dev eth0 metric 100
     ip route add default via 10.1.0.1 dev net1
     ip route add default via 10.1.0.9 dev net1 metric 300`,
    {},
    {
      main: [
        "default via 10.0.0.1 dev eth0 metric 100",
        "default via 10.1.0.9 dev net1 metric 300",
      ],
      tables: { 1000: table4(1) },
      rules: [rule("10.1.0.2", 1000)],
    },
  ],
  [
    "a gateway that only a link-scope route reaches, the same one on both",
    `ip addr flush dev eth0 scope global; ip addr flush dev net1 scope global
     ip addr add 10.0.0.2/32 dev eth0; ip addr add 10.1.0.2/32 dev net1
     for link in eth0 net1; do ip route append 169.254.1.1 dev $link scope link; done
     ip route append default via 169.254.1.1 dev eth0; ip route prepend default via 169.254.1.1 dev net1`,
    {},
    {
      main: ["default via 169.254.1.1 dev eth0"],
      tables: {
        1000: [
          "default via 169.254.1.1 dev net1",
          "169.254.1.1 dev net1 scope link",
        ],
      },
      rules: [rule("10.1.0.2", 1000)],
    },
  ],
  [
    "other routes, attributes and several addresses of the interface",
    `ip addr add 10.1.7.2/24 dev net1
     ip route add 172.16.0.0/12 via 10.1.0.9 dev net1 mtu 1400 proto static
     ip route add default via 10.0.0.1 dev eth0
     ip route prepend default via 10.1.0.1 dev net1 src 10.1.7.2 mtu 1300 proto static`,
    {},
    {
      main: [main4(0)],
      tables: {
        1000: [
          "default via 10.1.0.1 dev net1 proto static src 10.1.7.2 mtu 1300",
          ...table4(1).slice(1),
          "10.1.7.0/24 dev net1 proto kernel scope link src 10.1.7.2",
          "172.16.0.0/12 via 10.1.0.9 dev net1 proto static mtu 1400",
        ],
      },
      rules: [rule("10.1.0.2", 1000), rule("10.1.7.2", 1000)],
    },
  ],
  [
    "without a gateway, onlink",
    `ip route add default via 10.0.0.1 dev eth0
     ip route prepend default dev net1 scope link
     ip route prepend default via 172.31.0.1 dev net2 onlink`,
    {},
    {
      main: [main4(0)],
      tables: {
        1000: ["default dev net1 scope link", ...table4(1).slice(1)],
        1001: ["default via 172.31.0.1 dev net2 onlink", ...table4(2).slice(1)],
      },
      rules: [rule("10.1.0.2", 1000), rule("10.2.0.2", 1001)],
    },
  ],
  [
    "multipath of one network: each path keeps its weight",
    `ip route add default via 10.0.0.1 dev eth0 metric 9
     ip route add default nexthop via 10.1.0.1 dev net1 weight 3 nexthop via 10.1.0.9 dev net1
     ip -6 route add default via fd00::1 dev eth0 metric 9
     ip -6 route add default metric 5 nexthop via fd01::1 dev net1 weight 3 nexthop via fd01::9 dev net1`,
    {},
    {
      main: [
        "default via 10.0.0.1 dev eth0 metric 9",
        "default via fd00::1 dev eth0 metric 9 pref medium",
      ],
      tables: {
        1000: [
          "default",
          "nexthop via 10.1.0.1 dev net1 weight 3",
          "nexthop via 10.1.0.9 dev net1 weight 1",
          ...table4(1).slice(1),
          ...table6(1).slice(0, 2),
          "default metric 5 pref medium",
          "nexthop via fd01::1 dev net1 weight 3",
          "nexthop via fd01::9 dev net1 weight 1",
        ],
      },
      rules: [rule("10.1.0.2", 1000), rule("fd01::2", 1000)],
    },
  ],
  [
    "multipath over two networks is taken apart",
    `ip route add default nexthop via 10.0.0.1 dev eth0 nexthop via 10.1.0.1 dev net1
     ip -6 route add default nexthop via fd00::1 dev eth0 nexthop via fd01::1 dev net1`,
    {},
    moved(0, 1),
  ],
  [
    "nexthop objects",
    `ip nexthop add id 1 via 10.0.0.1 dev eth0; ip nexthop add id 3 via 10.1.0.1 dev net1
     ip nexthop add id 4 group 1/3; ip route add default nhid 4`,
    {},
    {
      main: [main4(0)],
      tables: { 1000: table4(1) },
      rules: [rule("10.1.0.2", 1000)],
    },
  ],
  [
    "tables and rules that are there already are left alone",
    `${plain("eth0", "net1", "net2")}
     ip route add 192.0.2.0/24 via 10.2.0.1 dev net2 table 1001
     ip -6 rule add from fd02::77 lookup 1000 pref 77`,
    {},
    {
      main: [main4(0), main6(0)],
      tables: {
        1001: ["192.0.2.0/24 via 10.2.0.1 dev net2"],
        1002: [...table4(1), ...table6(1)],
        1003: [...table4(2), ...table6(2)],
      },
      rules: [
        rule("10.1.0.2", 1002),
        rule("10.2.0.2", 1003),
        "77: from fd02::77 lookup 1000",
        rule("fd01::2", 1002),
        rule("fd02::2", 1003),
      ],
    },
  ],
  [
    "over no network's interface, leading nowhere, from a source: not ours",
    `ip link add other type veth peer name peer9; ip link set other up; ip link set peer9 up
     ip addr add 10.9.0.2/24 dev other; ip route add default via 10.9.0.1 dev other metric 5
     ip route add unreachable default metric 99
     ip route add default via 10.0.0.1 dev eth0 metric 10
     ip -6 route add default via fd00::1 dev eth0
     ip -6 route add default from fd01::/64 via fd01::1 dev net1`,
    {},
    {
      main: [
        "default via 10.9.0.1 dev other metric 5",
        "default via 10.0.0.1 dev eth0 metric 10",
        "unreachable default metric 99",
        "default from fd01::/64 via fd01::1 dev net1 metric 1024 pref medium",
        main6(0),
      ],
    },
  ],
  [
    "an address that the owner has too has no rule",
    `${plain("eth0", "net1")}; ip addr add 10.0.0.2/32 dev net1`,
    {},
    moved(0, 1),
  ],
  [
    "link-local addresses have no rule",
    `${plain("eth0", "net1")}; ip addr add 169.254.7.7/16 dev net1`,
    {},
    {
      main: [main4(0), main6(0)],
      tables: {
        1000: [
          ...table4(1),
          "169.254.0.0/16 dev net1 proto kernel scope link src 169.254.7.7",
          ...table6(1),
        ],
      },
      rules: [rule("10.1.0.2", 1000), rule("fd01::2", 1000)],
    },
  ],
  [
    "of a router advertisement: it stays, and the owner's gets metric 512",
    `ip -6 route add default via fd00::1 dev eth0 mtu 1400
     ip -6 route append default via fe80::9 dev net1 proto ra expires 1800 metric 1000`,
    {},
    {
      main: [
        "default via fd00::1 dev eth0 metric 512 mtu 1400 pref medium",
        "default via fe80::9 dev net1 proto ra metric 1000 expires pref medium",
      ],
    },
  ],
  [
    "of router advertisements on both: the owner's becomes lasting as well",
    `ip -6 route append default via fe80::1 dev eth0 proto ra expires 1800
     ip -6 route append default via fe80::9 dev net1 proto ra expires 1800 metric 1000
     ip -6 route append default via fd02::1 dev net2 metric 1000`,
    {},
    {
      main: [
        "default via fe80::1 dev eth0 metric 512 pref medium",
        "default via fe80::9 dev net1 proto ra metric 1000 expires pref medium",
        "default via fe80::1 dev eth0 proto ra metric 1024 expires pref medium",
      ],
      tables: {
        1000: [
          ...table6(2).slice(0, 2),
          "default via fd02::1 dev net2 metric 1000 pref medium",
        ],
      },
      rules: [rule("fd02::2", 1000)],
    },
  ],
  [
    "of a router advertisement with a low metric: the owner's gets a lower one",
    `ip -6 route add default via fd00::1 dev eth0 metric 300
     ip -6 route append default via fe80::9 dev net1 proto ra expires 1800 metric 100`,
    {},
    {
      main: [
        "default via fd00::1 dev eth0 metric 99 pref medium",
        "default via fe80::9 dev net1 proto ra metric 100 expires pref medium",
      ],
    },
  ],
  [
    "of a router advertisement, the owner's is better already",
    `ip -6 route add default via fd00::1 dev eth0 metric 100
     ip -6 route append default via fe80::9 dev net1 proto ra expires 1800`,
    {},
    {
      main: [
        "default via fd00::1 dev eth0 metric 100 pref medium",
        "default via fe80::9 dev net1 proto ra metric 1024 expires pref medium",
      ],
    },
  ],
  [
    "an IPv6 group of several origins: what the kernel tells is the first one's",
    `ip -6 route add default via fd00::1 dev eth0 mtu 1400 proto static
     ip -6 route append default via fd01::1 dev net1 proto boot`,
    {},
    {
      main: [
        "default via fd00::1 dev eth0 proto static metric 1024 mtu 1400 pref medium",
      ],
      tables: { 1000: table6(1) },
      rules: [rule("fd01::2", 1000)],
    },
  ],
];

const halves = (n: number, metric4 = "", metric6 = "metric 1024 ") => [
  `0.0.0.0/1 via 10.${n}.0.1 dev ${defaults[n]} ${metric4}`.trim(),
  `128.0.0.0/1 via 10.${n}.0.1 dev ${defaults[n]} ${metric4}`.trim(),
  `::/1 via fd0${n}::1 dev ${defaults[n]} ${metric6}pref medium`,
  `8000::/1 via fd0${n}::1 dev ${defaults[n]} ${metric6}pref medium`,
];
/** `ip` commands for routes to both halves of all addresses. */
const halved = (n: number, metric = "") =>
  halves(n, metric, `${metric} `)
    .map((route) => `ip route add ${route}`)
    .join("\n");

/** Name, what is configured, what is wanted; the default routes, the tables, the halves in the main table. */
const halfRoutes: [string, string, Wish, string[], object, string[]][] = [
  [
    "they leave, whatever their metric",
    `${plain("eth0")}\n${halved(1, "metric 2000")}`,
    {},
    [main4(0), main6(0)],
    {
      1000: [
        halves(1, "metric 2000")[0],
        table4(1)[1],
        halves(1, "metric 2000")[1],
        halves(1, "", "metric 2000 ")[2],
        ...table6(1).slice(0, 2),
        halves(1, "", "metric 2000 ")[3],
      ],
    },
    [],
  ],
  [
    "the owner's stay, a default route of another leaves",
    `${halved(0)}\n${plain("net1")}`,
    {},
    [],
    { 1000: [...table4(1), ...table6(1)] },
    halves(0),
  ],
  [
    "one half stays: it is no default route",
    `${plain("eth0")}
     ip route add 128.0.0.0/1 via 10.1.0.1 dev net1`,
    {},
    [main4(0), main6(0)],
    {},
    halves(1).slice(1, 2),
  ],
  [
    "a request takes their place",
    `${plain("eth0")}\n${halved(1)}`,
    { gateways: ["10.1.0.1", "fd01::1"], keep: true },
    [main4(1), "default via fd01::1 dev net1 metric 512 pref medium"],
    {},
    [],
  ],
];

test.each(halfRoutes)(
  "routes to both halves: %s",
  async (_, commands, wish, main, tables, staying) => {
    await using pod = await startPod(commands);
    settle(pod, wish);
    const after = await routingOf(pod);
    expect(after).toMatchObject({ main, tables });
    expect(Object.keys(after.tables)).toEqual(Object.keys(tables));
    const others = await otherRoutes(pod);
    expect(others.filter((line) => /^\S+\/1 /.test(line))).toEqual(staying);
  },
);

const requested6 = "default via fd01::1 dev net1 metric 512 pref medium";

/** net1 comes to a running pod. */
const arrived: Row[] = [
  [
    "its default routes leave the main table",
    plain("eth0", "net1"),
    { arrived: "net1" },
    moved(0, 1),
  ],
  [
    "those of another network are in use, and stay",
    `${plain("eth0", "net1")}
     ip route add default via 10.2.0.1 dev net2 metric 0 tos 0x10
     ip route append default via 10.2.0.9 dev net2`,
    { arrived: "net1" },
    {
      ...moved(0, 1),
      main: [
        "default tos 0x10 via 10.2.0.1 dev net2",
        main4(0),
        "default via 10.2.0.9 dev net2",
        main6(0),
      ],
    },
  ],
  [
    "a family that nobody has stays its own",
    "ip -6 route append default via fd01::1 dev net1",
    { arrived: "net1" },
    { main: [main6(1)] },
  ],
  [
    "its router advertisements do not change the owner's metric",
    `ip -6 route add default via fd00::1 dev eth0
     ip -6 route append default via fe80::9 dev net1 proto ra expires 1800 metric 1000`,
    { arrived: "net1" },
    {
      main: [
        "default via fe80::9 dev net1 proto ra metric 1000 expires pref medium",
        main6(0),
      ],
    },
  ],
  [
    "it asks for the default route: the owner's moves",
    plain("eth0"),
    { arrived: "net1", gateways: ["10.1.0.1"] },
    {
      main: [main4(1), main6(0)],
      tables: { 1000: table4(0) },
      rules: [rule("10.0.0.2", 1000)],
    },
  ],
];

const requested: Row[] = [
  [
    "both families",
    plain("eth0"),
    { gateways: ["fd01::1", "10.1.0.1"] },
    {
      main: [main4(1), requested6],
      tables: { 1000: [...table4(0), ...table6(0)] },
      rules: [rule("10.0.0.2", 1000), rule("fd00::2", 1000)],
    },
  ],
  [
    "IPv4, the primary owns IPv6",
    plain("eth0", "net2"),
    { gateways: ["10.1.0.1"] },
    {
      main: [main4(1), main6(0)],
      tables: { 1000: table4(0), 1001: [...table4(2), ...table6(2)] },
      rules: [
        rule("10.0.0.2", 1000),
        rule("10.2.0.2", 1001),
        rule("fd02::2", 1001),
      ],
    },
  ],
  [
    "none before",
    "",
    { gateways: ["10.1.0.1", "fd01::1"] },
    { main: [main4(1), requested6] },
  ],
  [
    "its interface's other default routes go",
    `ip route add default via 10.1.0.9 dev net1
     ip route add default via 10.1.0.9 dev net1 metric 7
     ip -6 route add default via fd01::9 dev net1 metric 1`,
    { gateways: ["10.1.0.1", "fd01::1"] },
    { main: [main4(1), requested6] },
  ],
  [
    "one that does it already is kept as it is",
    `ip route add default via 10.1.0.1 dev net1 metric 3 mtu 1400 proto static
     ip route add default via 10.0.0.1 dev eth0
     ip route add default via 10.2.0.1 dev net2 metric 9`,
    { gateways: ["10.1.0.1"] },
    {
      main: [
        "default via 10.1.0.1 dev net1 proto static metric 3 mtu 1400",
        "default via 10.2.0.1 dev net2 metric 9",
      ],
      tables: { 1000: table4(0) },
      rules: [rule("10.0.0.2", 1000)],
    },
  ],
  [
    "link-local gateway",
    "ip -6 route add default via fd00::1 dev eth0",
    { gateways: ["fe80::1"] },
    {
      main: ["default via fe80::1 dev net1 metric 512 pref medium"],
      tables: { 1000: table6(0) },
      rules: [rule("fd00::2", 1000)],
    },
  ],
  [
    "keep: the others are removed, fallbacks too",
    `${plain("eth0")}
     ip route add default via 10.2.0.1 dev net2 metric 77; ip route add unreachable default metric 99
     ip -6 route append default via fe80::9 dev net2 proto ra expires 1800 metric 1000`,
    { gateways: ["10.1.0.1", "fd01::1"], keep: true },
    { main: [main4(1), requested6] },
  ],
  [
    "a router advertisement with a low metric: a lower one",
    "ip -6 route append default via fe80::9 dev eth0 proto ra expires 1800 metric 100",
    { gateways: ["fd01::1"] },
    {
      main: [
        "default via fd01::1 dev net1 metric 99 pref medium",
        "default via fe80::9 dev eth0 proto ra metric 100 expires pref medium",
      ],
    },
  ],
  [
    "keep: the family that is not asked for stays",
    plain("eth0", "net2"),
    { gateways: ["10.1.0.1"], keep: true },
    {
      main: [
        main4(1),
        "default metric 1024 pref medium",
        "nexthop via fd00::1 dev eth0 weight 1",
        "nexthop via fd02::1 dev net2 weight 1",
      ],
    },
  ],
];

describe.each([
  ["owner", owned],
  ["arrived", arrived],
  ["requested", requested],
])("planDefaultRoutes, %s", (_, rows) => {
  test.each(rows)("%s", async (_name, commands, wish, expected) => {
    await using pod = await startPod(commands);
    const others = await otherRoutes(pod);
    settle(pod, wish);
    expect(await routingOf(pod)).toEqual({ ...nothing, ...expected });
    expect(await otherRoutes(pod)).toEqual(others);
    // Done a second time, nothing is left to do.
    const before = await table(pod);
    settle(pod, wish);
    expect(await table(pod)).toBe(before);
  });
});
