/**
 * Routes as the kernel lists them, and that the same is encoded again; rules of policy
 * routing against bytes as linux/fib_rules.h has them.
 */
import { describe, expect, test } from "bun:test";
import { concat } from "../../lib/linux/files.ts";
import type { Ip } from "../../lib/linux/address.ts";
import {
  type Attribute,
  encodeAttributes,
  u32,
} from "../../lib/linux/netlink.ts";
import {
  defaultRoutesOf,
  describeRoute,
  isHalf,
  isLinkScope,
  isOver,
  type Route,
  routeVia,
  withNexthops,
} from "../../lib/linux/route.ts";
import {
  decodeRoutes,
  decodeRule,
  encodeRoute,
  encodeRule,
} from "../../lib/linux/route-message.ts";

const gateway4 = Uint8Array.of(10, 1, 0, 1);
const other4 = Uint8Array.of(10, 1, 0, 2);
const gateway6 = Uint8Array.fromHex("fd000000000000000000000000000001");

/** struct rtmsg and attributes. */
function listed(
  header: readonly number[],
  flags: number,
  attributes: readonly Attribute[],
): Uint8Array {
  return concat([
    Uint8Array.from(header),
    u32(flags),
    encodeAttributes(attributes),
  ]);
}

const v4 = [2, 0, 0, 0, 254, 3, 0, 1];
const v6 = [10, 0, 0, 0, 254, 9, 0, 1];

const route4: Route = {
  family: "4",
  destination: { ip: { family: "4", bytes: new Uint8Array(4) }, prefix: 0 },
  source: 0,
  tos: 0,
  table: 254,
  protocol: 3,
  scope: 0,
  type: 1,
  metric: 0,
  nexthops: [
    {
      ifindex: 3,
      gateway: gateway4,
      onlink: false,
      attributes: [],
    },
  ],
  attributes: [],
};

const default6 = {
  ip: { family: "6", bytes: new Uint8Array(16) },
  prefix: 0,
} as const;

const network4 = {
  ip: { family: "4", bytes: Uint8Array.of(10, 8, 0, 0) },
  prefix: 16,
} as const;

const via4: Attribute[] = [
  { type: 5, data: gateway4 },
  { type: 4, data: u32(3) },
];

describe("decodeRoutes", () => {
  test.each<[string, Uint8Array, Route[]]>([
    ["via a gateway", listed(v4, 0, via4), [route4]],
    [
      "that its link is down is not the route's",
      listed(v4, 0x11, via4),
      [route4],
    ],
    [
      "onlink",
      listed(v4, 4, via4),
      [
        {
          ...route4,
          nexthops: route4.nexthops.map((hop) => ({ ...hop, onlink: true })),
        },
      ],
    ],
    [
      "a table beyond a byte",
      listed([2, 0, 0, 0, 252, 3, 0, 1], 0, [
        { type: 15, data: u32(1000) },
        ...via4,
      ]),
      [{ ...route4, table: 1000 }],
    ],
    [
      "metric, preferred source and metrics",
      listed(v4, 0, [
        ...via4,
        { type: 6, data: u32(50) },
        { type: 7, data: other4 },
        { type: 8, data: u32(1) },
      ]),
      [
        {
          ...route4,
          metric: 50,
          attributes: [
            { type: 7, data: other4 },
            { type: 8, data: u32(1) },
          ],
        },
      ],
    ],
    [
      "blackhole",
      listed([2, 0, 0, 0, 254, 3, 0, 6], 0, []),
      [{ ...route4, type: 6, nexthops: [] }],
    ],
    [
      "to a network",
      listed([2, 16, 0, 0, 254, 3, 253, 1], 0, [
        { type: 1, data: network4.ip.bytes },
        ...via4,
      ]),
      [{ ...route4, destination: network4, scope: 253 }],
    ],
    [
      "of another family, as MPLS",
      listed([28, 20, 0, 0, 254, 3, 0, 1], 0, []),
      [],
    ],
    ["a cached one is none", listed(v4, 0x200, via4), []],
    ["too short to be one", Uint8Array.of(2, 0, 0), []],
    [
      "multipath, one route",
      listed(v4, 0, [
        {
          type: 9,
          data: Uint8Array.fromHex(
            "100000020300000008000500" +
              "0a010001" +
              "1000110004000000" +
              "080005000a010002",
          ),
        },
      ]),
      [
        {
          ...route4,
          nexthops: [
            {
              ifindex: 3,
              gateway: gateway4,
              onlink: false,
              weight: 3,
              attributes: [],
            },
            {
              ifindex: 4,
              gateway: other4,
              onlink: false,
              attributes: [],
            },
          ],
        },
      ],
    ],
    [
      "IPv6, without the time that is left",
      listed(v6, 0, [
        { type: 4, data: u32(3) },
        { type: 5, data: gateway6 },
        { type: 6, data: u32(1024) },
        // struct rta_cacheinfo: users, last use, ticks that are left, …
        { type: 12, data: concat([u32(0), u32(0), u32(179_901), u32(0)]) },
      ]),
      [
        {
          ...route4,
          family: "6",
          destination: default6,
          protocol: 9,
          metric: 1024,
          nexthops: [
            {
              ifindex: 3,
              gateway: gateway6,
              onlink: false,
              attributes: [],
            },
          ],
        },
      ],
    ],
  ])("%s, and encoded the same again", (_, payload, expected) => {
    expect(decodeRoutes(payload)).toEqual(expected);
    for (const route of expected)
      expect(decodeRoutes(encodeRoute(route))).toEqual([route]);
  });

  test("IPv6 multipath, a route for each nexthop; the rest is the first one's", () => {
    const hop = `1c000001 03000000 14000500 ${gateway6.toHex()}`.replaceAll(
      " ",
      "",
    );
    const metrics = { type: 8, data: u32(1) };
    const payload = listed(v6, 0, [
      metrics,
      { type: 9, data: Uint8Array.fromHex(hop + hop.replace("03", "04")) },
    ]);
    const nexthop = (ifindex: number) => ({
      ifindex,
      gateway: gateway6,
      onlink: false,
      weight: 2,
      attributes: [],
    });
    const route: Route = { ...route4, family: "6", destination: default6 };
    expect(decodeRoutes(payload)).toEqual([
      { ...route, protocol: 9, nexthops: [nexthop(3)], attributes: [metrics] },
      { ...route, protocol: 3, nexthops: [nexthop(4)], attributes: [] },
    ]);
  });
});

describe("encodeRoute", () => {
  const hop = {
    ifindex: 3,
    gateway: gateway4,
    onlink: false,
    attributes: [],
  };

  test.each<[string, Route]>([
    [
      "over an interface",
      { ...route4, nexthops: [{ ...hop, gateway: undefined }] },
    ],
    ["a metric and a type of service", { ...route4, metric: 7, tos: 16 }],
    [
      "multipath",
      {
        ...route4,
        nexthops: [
          { ...hop, onlink: true },
          { ...hop, ifindex: 5, attributes: [{ type: 11, data: u32(9) }] },
        ],
      },
    ],
    [
      "IPv6 from a source",
      {
        ...route4,
        family: "6",
        destination: default6,
        source: 64,
        nexthops: [{ ...hop, gateway: gateway6 }],
        attributes: [{ type: 2, data: gateway6 }],
      },
    ],
  ])("%s, reads back as the same", (_, route) => {
    expect(decodeRoutes(encodeRoute(route))).toEqual([route]);
  });

  test("a nexthop object, without its nexthops", () => {
    const object = { type: 30, data: u32(5) };
    expect(encodeRoute({ ...route4, attributes: [object] })).toEqual(
      listed(v4, 0, [{ type: 15, data: u32(254) }, object]),
    );
  });
});

describe("withNexthops", () => {
  test("in the route itself, not in an object that others share", () => {
    const source = { type: 7, data: other4 };
    const route = {
      ...route4,
      attributes: [source, { type: 30, data: u32(5) }],
    };
    expect(withNexthops(route, [])).toEqual({
      ...route4,
      nexthops: [],
      attributes: [source],
    });
  });
});

const [hop] = route4.nexthops;
const direct = {
  ifindex: 9,
  gateway: undefined,
  onlink: false,
  attributes: [],
};

test.each<[Route, string]>([
  [route4, "default via 10.1.0.1 dev net1"],
  [
    { ...route4, nexthops: [...route4.nexthops, direct] },
    "default via 10.1.0.1 dev net1 and dev #9",
  ],
  [
    { ...route4, destination: network4, table: 1000, nexthops: [direct] },
    "10.8.0.0/16 dev #9 table 1000",
  ],
  [{ ...route4, type: 6, nexthops: [] }, "default of type 6"],
])("describeRoute, %#", (route, expected) => {
  expect(describeRoute(route, new Map([[3, "net1"]]))).toBe(expected);
});

test("routeVia, as `ip route add default via` makes it", () => {
  const gateway: Ip = { family: "4", bytes: gateway4 };
  expect(routeVia(gateway, 3, 0)).toEqual(route4);
  expect(routeVia({ family: "6", bytes: gateway6 }, 3, 512)).toEqual({
    ...route4,
    family: "6",
    destination: default6,
    metric: 512,
    nexthops: hop ? [{ ...hop, gateway: gateway6 }] : [],
  });
});

test("defaultRoutesOf, without other tables, networks and routes from a source", () => {
  const others = [
    { table: 1000 },
    { destination: network4 },
    { source: 64 },
  ].map((fields) => ({ ...route4, ...fields }));
  const [elsewhere] = others;
  const all = [...others, route4];
  expect(defaultRoutesOf(all)).toEqual([route4]);
  expect(defaultRoutesOf(all, 1000)).toEqual(elsewhere ? [elsewhere] : []);
});

const half = (first: number, ifindex = 3): Route => ({
  ...route4,
  destination: {
    ip: { family: "4", bytes: Uint8Array.of(first, 0, 0, 0) },
    prefix: 1,
  },
  nexthops: [{ ...direct, ifindex }],
});
const half6 = (first: number): Route => ({
  ...half(first),
  family: "6",
  destination: {
    ip: { family: "6", bytes: Uint8Array.of(first, ...new Uint8Array(15)) },
    prefix: 1,
  },
});

test.each<[string, number, Route[]]>([
  ["both halves over one interface", 2, [half(0), half(128)]],
  ["of IPv6", 2, [half6(0), half6(128)]],
  ["beside a whole one", 3, [half(128), route4, half(0)]],
  ["over two interfaces", 0, [half(0), half(128, 4)]],
  ["of two families", 0, [half(0), half6(128)]],
  ["one only, of several metrics", 0, [half(0), { ...half(0), metric: 5 }]],
  ["one in another table", 0, [half(0), { ...half(128), table: 7 }]],
])("defaultRoutesOf, halves: %s", (_, count, routes) => {
  expect(defaultRoutesOf(routes)).toEqual(count === 0 ? [] : routes);
  expect(routes.filter(isHalf).length).toBeGreaterThan(1);
});

test.each<[boolean, Partial<Route>]>([
  [false, {}],
  [true, { nexthops: [direct] }],
  [false, { nexthops: [direct, ...route4.nexthops] }],
  [false, { nexthops: [] }],
])("isLinkScope, %p for %#", (expected, fields) => {
  expect(isLinkScope({ ...route4, ...fields })).toBe(expected);
});

test.each([
  [true, [3]],
  [true, [9, 3]],
  [false, [9]],
  [false, []],
])("isOver, %p for %j", (expected, ifindexes) => {
  expect(isOver(route4, new Set(ifindexes))).toBe(expected);
});

test.each([
  [
    "IPv4",
    { family: "4", bytes: Uint8Array.of(10, 1, 0, 2) } as const,
    1000,
    "02 00 20 00 00 00 00 01 00000000 0800 0200 0a010002 0800 0600 e8030000 0800 0f00 e8030000",
  ],
  [
    "IPv6, a table of one byte",
    {
      family: "6",
      bytes: Uint8Array.fromHex("fd000000000000000000000000000002"),
    } as const,
    200,
    "0a 00 80 00 c8 00 00 01 00000000 1400 0200 fd000000000000000000000000000002 0800 0600 c8000000 0800 0f00 c8000000",
  ],
])("encodeRule, from an address: %s", (_, source, table, bytes) => {
  const rule = { source, table };
  expect(encodeRule(rule).toHex()).toBe(bytes.replaceAll(" ", ""));
  expect(decodeRule(encodeRule(rule))).toEqual({
    family: source.family,
    table,
  });
});

test.each([
  [
    "the number of a table in the header only",
    "02 00 00 00 fe 00 00 01 00000000",
    { family: "4", table: 254 },
  ],
  ["of another family", "80 00 00 00 fe 00 00 01 00000000", undefined],
  [
    "without a table, as goto",
    "0a 00 00 00 00 00 00 02 00000000",
    { family: "6", table: 0 },
  ],
])("decodeRule, %s", (_, bytes, expected) => {
  expect(decodeRule(Uint8Array.fromHex(bytes.replaceAll(" ", "")))).toEqual(
    expected as never,
  );
});
