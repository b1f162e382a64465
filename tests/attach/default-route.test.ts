/**
 * Which results change when the pod's default routes go elsewhere (selection.md §6
 * "default-route", §8).
 */
import { attachmentOf } from "../support/records.ts";
import { describe, expect, test } from "bun:test";
import { openRouting } from "../../lib/attach/default-route.ts";
import {
  DefaultRouteMoves,
  describeRerouting,
  requestedDefaultRoute,
  tablesOf,
} from "../../lib/attach/default-route-moves.ts";
import { passOnDefaultRoutes } from "../../lib/attach/running/pass-on-default-routes.ts";
import type { RunningPod } from "../../lib/attach/running/running-pod.ts";
import {
  type Rerouting,
  reroutedResults,
} from "../../lib/cni/rerouted-result.ts";
import { type Family, formatIp, parseIp } from "../../lib/linux/address.ts";
import { type Result, parseResult } from "../../lib/cni/result.ts";
import * as linuxRoutes from "../../lib/linux/routes.ts";
import type { Departure } from "../../lib/linux/routes.ts";
import { routingOf, startPod } from "../linux/pod.ts";
import type { Netns } from "../support/netns.ts";
import { contextOf } from "../support/context.ts";

const attachment = (ifname: string, defaultRoute?: string[]) =>
  attachmentOf("lan", ifname, defaultRoute && { extras: { defaultRoute } });

const attachments = ["eth0", "net1", "net2"].map((name) => attachment(name));

function result(given: object): Result {
  return parseResult({ cniVersion: "1.0.0", ...given }, "1.0.0");
}

const gateways = (...texts: string[]) =>
  texts.flatMap((text) => parseIp(text) ?? []);

function departure(
  place: number,
  family: Family,
  fields: Partial<Departure> = {},
): Departure {
  return {
    attachment: place,
    family,
    gateways: [],
    table: 1000,
    addresses: [],
    staying: [],
    ...fields,
  };
}

describe("requestedDefaultRoute", () => {
  test("nobody asks", () => {
    expect(requestedDefaultRoute(attachments)).toBeUndefined();
  });

  test("one asks", () => {
    const asking = attachment("net1", ["10.30.0.1", "fd30::1"]);
    const found = requestedDefaultRoute([attachment("eth0"), asking]);
    expect(
      found && { ...found, gateways: found.gateways.map(formatIp) },
    ).toEqual({
      attachment: 1,
      ifname: "net1",
      gateways: ["10.30.0.1", "fd30::1"],
    });
  });
});

const dual = {
  ips: [{ address: "10.30.0.7/24", gateway: "10.30.0.1" }],
  routes: [
    { dst: "0.0.0.0/0" },
    { dst: "10.0.0.0/8" },
    { dst: "::/0", gw: "fd30::1" },
    { dst: "0.0.0.0/0", table: 100 },
  ],
};
const eth0 = result({ ips: [{ address: "10.66.0.2/24" }] });

describe("reroutedResults, routes that leave", () => {
  test.each<[string, string, Departure[], object[]]>([
    [
      "1.1.0: in their table",
      "1.1.0",
      [departure(1, "4"), departure(1, "6")],
      [
        { dst: "0.0.0.0/0", table: 1000 },
        { dst: "10.0.0.0/8" },
        { dst: "::/0", gw: "fd30::1", table: 1000 },
        { dst: "0.0.0.0/0", table: 100 },
      ],
    ],
    [
      "1.0.0: left out",
      "1.0.0",
      [departure(1, "4"), departure(1, "6")],
      [{ dst: "10.0.0.0/8" }, { dst: "0.0.0.0/0", table: 100 }],
    ],
    [
      "of one family",
      "1.1.0",
      [departure(1, "6")],
      [
        { dst: "0.0.0.0/0" },
        { dst: "10.0.0.0/8" },
        { dst: "::/0", gw: "fd30::1", table: 1000 },
        { dst: "0.0.0.0/0", table: 100 },
      ],
    ],
    [
      "removed: left out in every version",
      "1.1.0",
      [departure(1, "4", { table: undefined })],
      [
        { dst: "10.0.0.0/8" },
        { dst: "::/0", gw: "fd30::1" },
        { dst: "0.0.0.0/0", table: 100 },
      ],
    ],
  ])("%s", (_, cniVersion, departures, routes) => {
    const before = [eth0, result({ ...dual, cniVersion })];
    const after = reroutedResults(before, { departures });
    expect(after).toEqual([eth0, result({ ...dual, cniVersion, routes })]);
    expect(after[0]).toBe(eth0);
  });

  test("both halves of all addresses, whatever their metric", () => {
    const cniVersion = "1.1.0";
    const routes = [
      { dst: "0.0.0.0/1", priority: 300 },
      { dst: "128.0.0.0/1", priority: 300 },
      { dst: "0.0.0.0/0", priority: 300 },
    ];
    const departures = [departure(0, "4", { staying: [300] })];
    const [rerouted] = reroutedResults([result({ cniVersion, routes })], {
      departures,
    });
    expect(rerouted).toEqual(
      result({
        cniVersion,
        routes: routes.map((route, i) =>
          i < 2 ? { ...route, table: 1000 } : route,
        ),
      }),
    );
  });

  test("of several metrics, those that stay stay", () => {
    const cniVersion = "1.1.0";
    const routes = [
      { dst: "0.0.0.0/0" },
      { dst: "0.0.0.0/0", gw: "10.30.0.2", priority: 50 },
      { dst: "0.0.0.0/0", gw: "10.30.0.3", priority: 300 },
    ];
    const departures = [departure(0, "4", { staying: [300] })];
    expect(
      reroutedResults([result({ cniVersion, routes })], { departures }),
    ).toEqual([
      result({
        cniVersion,
        routes: [
          { dst: "0.0.0.0/0", table: 1000 },
          { dst: "0.0.0.0/0", gw: "10.30.0.2", priority: 50, table: 1000 },
          { dst: "0.0.0.0/0", gw: "10.30.0.3", priority: 300 },
        ],
      }),
    ]);
  });

  test.each([
    [
      "0.2.0",
      { ip4: { ip: "10.67.0.2/24", routes: [{ dst: "0.0.0.0/0" }] } },
      { ip4: { ip: "10.67.0.2/24" } },
    ],
    [
      "0.4.0",
      dual,
      {
        ips: [{ version: "4", address: "10.30.0.7/24", gateway: "10.30.0.1" }],
        routes: [{ dst: "10.0.0.0/8" }, ...dual.routes.slice(2)],
      },
    ],
  ])("each keeps its version: %s", (cniVersion, before, after) => {
    expect(
      reroutedResults([result({ cniVersion, ...before })], {
        departures: [departure(0, "4")],
      }),
    ).toEqual([result({ cniVersion, ...after })]);
  });
});

describe("reroutedResults, a route that is requested", () => {
  const request = { attachment: 1, ifname: "net1" };

  test.each<[string[], object[]]>([
    [
      ["10.30.0.9"],
      [...dual.routes.slice(1), { dst: "0.0.0.0/0", gw: "10.30.0.9" }],
    ],
    [
      ["fd30::9", "10.30.0.9"],
      [
        { dst: "10.0.0.0/8" },
        { dst: "0.0.0.0/0", table: 100 },
        { dst: "::/0", gw: "fd30::9" },
        { dst: "0.0.0.0/0", gw: "10.30.0.9" },
      ],
    ],
  ])("via %j, in the place of the interface's own", (texts, routes) => {
    const rerouting: Rerouting = {
      departures: [],
      request: { ...request, gateways: gateways(...texts) },
    };
    expect(reroutedResults([eth0, result(dual)], rerouting)).toEqual([
      eth0,
      result({ ...dual, routes }),
    ]);
  });
});

describe("reroutedResults", () => {
  const departures = [departure(0, "4")];
  const routes = [{ dst: "0.0.0.0/0" }];

  test.each([
    ["1.1.0", "1.1.0", [{ dst: "0.0.0.0/0", table: 1000 }]],
    ["1.0.0", "1.1.0", [{ dst: "0.0.0.0/0", table: 1000 }]],
    ["1.1.0", "1.0.0", undefined],
    ["1.0.0", "0.4.0", undefined],
  ])("a result of %s for a runtime of %s", (cniVersion, version, expected) => {
    const before = [result({ cniVersion, routes })];
    const [printed] = reroutedResults(before, { departures }, version);
    const told = printed && "routes" in printed ? printed.routes : undefined;
    expect(told).toEqual(expected);
  });
});

const settled: Rerouting = {
  departures: [
    departure(1, "4", {
      gateways: ["10.30.0.1"],
      addresses: ["10.30.0.7"],
    }),
    departure(1, "6", {
      gateways: ["fd30::1"],
      addresses: ["fd30::7", "fd30::8"],
    }),
    departure(2, "4", { table: undefined }),
  ],
};

test("tablesOf, both families of an interface together", () => {
  expect(tablesOf(attachments, settled.departures)).toEqual(
    new Map([
      ["net1", { table: 1000, addresses: ["10.30.0.7", "fd30::7", "fd30::8"] }],
    ]),
  );
});

test("tablesOf, routes that were removed: no table, what makes them anew", () => {
  const removed = (family: "4" | "6") => [
    { family, message: `message of IPv${family}` },
  ];
  const kept = (family: "4" | "6") =>
    departure(1, family, {
      table: undefined,
      addresses: [],
      removed: removed(family),
    });
  const both = [...removed("4"), ...removed("6")];
  expect(tablesOf(attachments, [kept("4"), kept("6")])).toEqual(
    new Map([["net1", { table: 0, addresses: [], removed: both }]]),
  );
  const none = departure(1, "6", {
    table: undefined,
    addresses: [],
    removed: [],
  });
  expect(tablesOf(attachments, [none])).toEqual(new Map());
});

test("describeRerouting, as `ip route` would print it", () => {
  expect(describeRerouting(attachments, settled)).toEqual({
    moved: [
      "default via 10.30.0.1 dev net1 table 1000",
      "default via fd30::1 dev net1 table 1000",
    ],
    removed: ["default dev net2"],
  });
  const request = {
    attachment: 1,
    ifname: "net1",
    gateways: gateways("10.30.0.9"),
  };
  expect(describeRerouting(attachments, { departures: [], request })).toEqual({
    requested: ["default via 10.30.0.9 dev net1"],
  });
});

const addTo = (pod: Netns) => contextOf({ command: "ADD", netns: pod.path });

test("openRouting, a result that names an interface of a later attachment does not own it", async () => {
  await using pod = await startPod(`ip route add default via 10.0.0.1 dev eth0
    ip route append default via 10.1.0.1 dev net1`);
  const ofPod = (...names: string[]) =>
    result({
      interfaces: names.map((name) => ({ name, sandbox: pod.path })),
    });
  const one = attachment("net2", ["10.2.0.1"]);
  const all = [attachment("eth0"), attachment("net1"), one];
  const present = [ofPod("eth0", "net1"), ofPod("net1")];
  const routing = await openRouting(addTo(pod), all, present);
  await routing.added(one, ofPod("net2"));
  const { tables } = await routing.plan([...present, ofPod("net2")]);
  routing.undo();
  expect([...tables.keys()]).toEqual(["eth0", "net1"]);
});

test.each<[what: string, isRunning: boolean, rule: string, back: string[]]>([
  ["a new pod", false, "from 10.1.0.2 lookup 1000", []],
  [
    "a running pod, whose owner has its route again",
    true,
    "from 10.0.0.2 lookup 1000",
    ["default via 10.0.0.1 dev eth0"],
  ],
])(
  "DefaultRouteMoves.undo, of %s: no rule or table is left",
  async (_, isRunning, rule, back) => {
    await using pod = await startPod(`ip route add default via 10.0.0.1 dev eth0
    ip route prepend default via 10.1.0.1 dev net1`);
    const applyPlan: typeof linuxRoutes.applyPlan = (...all) => {
      linuxRoutes.applyPlan(...all);
      throw new Error("refused");
    };
    const context = addTo(pod);
    const asked = isRunning ? ["10.1.0.1"] : undefined;
    const both = [attachment("eth0"), attachment("net1", asked)];
    using kernel = new linuxRoutes.Rtnetlink(pod.path);
    const links = kernel.links();
    const added = both.map((one) => {
      const { ifname } = one;
      return {
        attachment: one,
        interfaces: new Map([[ifname, links.get(ifname) ?? -1]]),
      };
    });
    const routing = new DefaultRouteMoves(
      { context, attachments: both, isRunning, added },
      { ...linuxRoutes, applyPlan },
    );
    const results = both.map(({ ifname }) =>
      result({ interfaces: [{ name: ifname, sandbox: pod.path }] }),
    );
    routing.plan(results);
    expect(() => routing.apply()).toThrow("refused");
    expect((await routingOf(pod)).rules).toEqual([`1000: ${rule}`]);
    routing.undo();
    const after = await routingOf(pod);
    expect(after).toMatchObject({ tables: {}, rules: [] });
    expect(back.filter((line) => after.main.includes(line))).toEqual(back);
  },
);

test("passOnDefaultRoutes, the result has its default route as the plugin told it", async () => {
  await using pod = await startPod(
    "ip route add default via 10.0.0.1 dev eth0 mtu 1400 table 1000",
  );
  const told = { dst: "0.0.0.0/0", gw: "10.0.0.1", mtu: 1400, priority: 5 };
  const moved = (table?: number) =>
    parseResult(
      { cniVersion: "1.1.0", routes: [{ ...told, ...(table && { table }) }] },
      "1.1.0",
    );
  const results = new Map([["eth0", moved(1000)]]);
  const routing = new Map([["eth0", { table: 1000, addresses: [] }]]);
  const record = { ifname: "eth0", attachments: [] };
  passOnDefaultRoutes(
    { context: addTo(pod), record } as unknown as RunningPod,
    "4",
    pod.path,
    results,
    routing,
  );
  expect((await routingOf(pod)).main).toEqual([
    "default via 10.0.0.1 dev eth0 mtu 1400",
  ]);
  expect(results.get("eth0")).toEqual(moved());
  expect(routing.size).toBe(0);
});
