/**
 * Routes as the kernel lists them: what of them is understood, and that what is
 * told back makes the same route.
 */
import { describe, expect, test } from "bun:test";
import {
  type Attribute,
  concat,
  encodeAttributes,
  u32,
} from "../../lib/netlink/message.ts";
import {
  decodeRoutes,
  describeRoute,
  encodeRoute,
  identityOf,
  type Route,
} from "../../lib/netlink/route.ts";

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
  destination: 0,
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
      weight: 0,
      onlink: false,
      attributes: [],
    },
  ],
  attributes: [],
};

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
              weight: 2,
              onlink: false,
              attributes: [],
            },
            {
              ifindex: 4,
              gateway: other4,
              weight: 0,
              onlink: false,
              attributes: [],
            },
          ],
        },
      ],
    ],
    [
      "IPv6, the time that is left",
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
          protocol: 9,
          metric: 1024,
          expires: 1800,
          nexthops: [
            {
              ifindex: 3,
              gateway: gateway6,
              weight: 0,
              onlink: false,
              attributes: [],
            },
          ],
        },
      ],
    ],
  ])("%s", (_, payload, expected) => {
    expect(decodeRoutes(payload)).toEqual(expected);
  });

  test("IPv6 multipath, a route for each nexthop", () => {
    const hop = `1c000001 03000000 14000500 ${gateway6.toHex()}`.replaceAll(
      " ",
      "",
    );
    const payload = listed(v6, 0, [
      { type: 9, data: Uint8Array.fromHex(hop + hop.replace("03", "04")) },
    ]);
    expect(decodeRoutes(payload).map(({ nexthops }) => nexthops)).toEqual(
      [3, 4].map((ifindex) => [
        {
          ifindex,
          gateway: gateway6,
          weight: 1,
          onlink: false,
          attributes: [],
        },
      ]),
    );
  });
});

describe("encodeRoute", () => {
  const hop = {
    ifindex: 3,
    gateway: gateway4,
    weight: 0,
    onlink: false,
    attributes: [],
  };

  test.each<[string, Route]>([
    ["via a gateway", route4],
    ["onlink", { ...route4, nexthops: [{ ...hop, onlink: true }] }],
    [
      "over an interface",
      { ...route4, nexthops: [{ ...hop, gateway: undefined }] },
    ],
    ["a table beyond a byte", { ...route4, table: 1000, metric: 7, tos: 16 }],
    ["blackhole", { ...route4, type: 6, nexthops: [] }],
    [
      "multipath",
      {
        ...route4,
        nexthops: [
          { ...hop, weight: 4, onlink: true },
          { ...hop, ifindex: 5, attributes: [{ type: 11, data: u32(9) }] },
        ],
      },
    ],
    [
      "a single one with a weight",
      { ...route4, nexthops: [{ ...hop, weight: 4 }] },
    ],
    [
      "IPv6 from a source",
      {
        ...route4,
        family: "6",
        source: 64,
        nexthops: [{ ...hop, gateway: gateway6 }],
        attributes: [{ type: 2, data: gateway6 }],
      },
    ],
  ])("%s, reads back as the same", (_, route) => {
    expect(decodeRoutes(encodeRoute(route))).toEqual([route]);
  });

  test("a nexthop object, without what is in it", () => {
    const object = { type: 30, data: u32(5) };
    expect(encodeRoute({ ...route4, attributes: [object] })).toEqual(
      listed(v4, 0, [{ type: 15, data: u32(254) }, object]),
    );
  });

  test("a route that expires, in seconds", () => {
    const route: Route = {
      ...route4,
      family: "6",
      nexthops: [],
      expires: 1800,
    };
    expect(encodeRoute(route)).toEqual(
      listed([10, 0, 0, 0, 254, 3, 0, 1], 0, [
        { type: 15, data: u32(254) },
        { type: 23, data: u32(1800) },
      ]),
    );
  });
});

describe("identityOf", () => {
  const [hop] = route4.nexthops;
  const six: Route = { ...route4, family: "6", metric: 1024 };

  test.each<[string, Route, Route, boolean]>([
    ["IPv4, another origin", route4, { ...route4, protocol: 4 }, false],
    ["IPv4, another metric", route4, { ...route4, metric: 1 }, false],
    ["IPv6, another origin", six, { ...six, protocol: 9 }, true],
    ["IPv6, another lifetime", six, { ...six, expires: 5 }, true],
    ["IPv6, another metric", six, { ...six, metric: 1 }, false],
    [
      "IPv6, another weight",
      six,
      { ...six, nexthops: hop ? [{ ...hop, weight: 3 }] : [] },
      true,
    ],
    [
      "IPv6, another interface",
      six,
      { ...six, nexthops: hop ? [{ ...hop, ifindex: 9 }] : [] },
      false,
    ],
  ])("%s", (_, one, other, same) => {
    expect(identityOf(one) === identityOf(other)).toBe(same);
  });
});

test.each<[Route, string]>([
  [route4, "via 10.1.0.1 dev net1"],
  [
    {
      ...route4,
      nexthops: [
        ...route4.nexthops,
        {
          ifindex: 9,
          gateway: undefined,
          weight: 0,
          onlink: false,
          attributes: [],
        },
      ],
    },
    "via 10.1.0.1 dev net1 and dev #9",
  ],
  [{ ...route4, type: 6, nexthops: [] }, "of type 6"],
])("describeRoute, %#", (route, expected) => {
  expect(describeRoute(route, new Map([[3, "net1"]]))).toBe(expected);
});
