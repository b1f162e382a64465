/**
 * Which results change when the pod's default route goes elsewhere
 * (selection.md §6 "default-route").
 */
import { describe, expect, test } from "bun:test";
import {
  requestedDefaultRoute,
  rerouted,
} from "../../lib/attach/defaultroute.ts";
import { formatIp, parseIp } from "../../lib/cni/address.ts";
import { parseConf } from "../../lib/cni/conflist.ts";
import { type Result, parseResult } from "../../lib/cni/result.ts";
import type { Attachment } from "../../lib/select/select.ts";

function attachment(ifname: string, defaultRoute?: string[]): Attachment {
  return {
    list: parseConf({ name: "lan", type: "bridge" }),
    ifname,
    args: "",
    capabilityArgs: {},
    ...(defaultRoute && { asked: { defaultRoute } }),
  };
}

function result(given: object): Result {
  return parseResult({ cniVersion: "1.0.0", ...given }, "1.0.0");
}

const lan = result({
  ips: [{ address: "10.30.0.7/24" }, { address: "fd30::7/64" }],
});

describe("requestedDefaultRoute", () => {
  test("nobody asks", () => {
    const attachments = [attachment("eth0"), attachment("net1")];
    expect(requestedDefaultRoute(attachments, [lan, lan])).toBeUndefined();
  });

  const reachable = [
    ["10.30.0.1"],
    ["fd30::1"],
    ["10.30.0.254", "fd30::ffff"],
    ["fe80::1"],
  ].map((gateways): [string[]] => [gateways]);
  test.each(reachable)("%j", (gateways) => {
    const attachments = [attachment("eth0"), attachment("net1", gateways)];
    const found = requestedDefaultRoute(attachments, [result({}), lan]);
    expect(
      found && { ...found, gateways: found.gateways.map(formatIp) },
    ).toEqual({ ifname: "net1", gateways });
  });

  test.each(["10.31.0.1", "fd31::1", "192.0.2.1"])(
    "%s is outside of the prefixes: error 7",
    (gateway) => {
      const attachments = [attachment("eth0"), attachment("net1", [gateway])];
      // Another interface's prefixes are no help.
      const wide = result({
        ips: [{ address: "0.0.0.0/0" }, { address: "::/0" }],
      });
      expect(() => requestedDefaultRoute(attachments, [wide, lan])).toThrow(
        expect.objectContaining({
          code: 7,
          message: `"default-route" ${gateway} is outside of the prefixes of interface net1`,
        }),
      );
    },
  );
});

describe("rerouted", () => {
  const gateways = (...texts: string[]) =>
    texts.flatMap((text) => parseIp(text) ?? []);
  const attachments = [
    attachment("eth0"),
    attachment("net1"),
    attachment("net2"),
  ];
  const old = result({
    cniVersion: "0.2.0",
    ip4: { ip: "10.67.0.2/24", routes: [{ dst: "0.0.0.0/0" }] },
  });
  const before = [
    result({
      ips: [{ address: "10.66.0.2/24", gateway: "10.66.0.1" }],
      routes: [
        { dst: "0.0.0.0/0" },
        { dst: "10.0.0.0/8" },
        { dst: "::/0", gw: "fd66::1" },
        { dst: "0.0.0.0/0", table: 100 },
      ],
    }),
    result({
      ...lan,
      routes: [{ dst: "0.0.0.0/0", gw: "10.30.0.9" }, { dst: "192.0.2.0/24" }],
    }),
    old,
  ];

  test("IPv4: only its default routes go, of the main table", () => {
    const after = rerouted(attachments, before, {
      ifname: "net1",
      gateways: gateways("10.30.0.1"),
    });
    expect(after).toEqual([
      result({
        ips: [{ address: "10.66.0.2/24", gateway: "10.66.0.1" }],
        routes: [
          { dst: "10.0.0.0/8" },
          { dst: "::/0", gw: "fd66::1" },
          { dst: "0.0.0.0/0", table: 100 },
        ],
      }),
      result({
        ...lan,
        routes: [
          { dst: "192.0.2.0/24" },
          { dst: "0.0.0.0/0", gw: "10.30.0.1" },
        ],
      }),
      result({ cniVersion: "0.2.0", ip4: { ip: "10.67.0.2/24" } }),
    ]);
  });

  test("IPv6: what has none stays the same object", () => {
    const after = rerouted(attachments, before, {
      ifname: "net1",
      gateways: gateways("fd30::1"),
    });
    expect(after[0]?.cniVersion).toBe("1.0.0");
    expect(after).toEqual([
      result({
        ips: [{ address: "10.66.0.2/24", gateway: "10.66.0.1" }],
        routes: [
          { dst: "0.0.0.0/0" },
          { dst: "10.0.0.0/8" },
          { dst: "0.0.0.0/0", table: 100 },
        ],
      }),
      result({
        ...lan,
        routes: [
          { dst: "0.0.0.0/0", gw: "10.30.0.9" },
          { dst: "192.0.2.0/24" },
          { dst: "::/0", gw: "fd30::1" },
        ],
      }),
      old,
    ]);
    expect(after[2]).toBe(old);
  });

  test("both families", () => {
    const after = rerouted([attachment("net1")], [lan], {
      ifname: "net1",
      gateways: gateways("10.30.0.1", "fd30::1"),
    });
    expect(after).toEqual([
      result({
        ...lan,
        routes: [
          { dst: "0.0.0.0/0", gw: "10.30.0.1" },
          { dst: "::/0", gw: "fd30::1" },
        ],
      }),
    ]);
  });

  test("each result keeps its version", () => {
    const bare = result({ cniVersion: "0.2.0", ip4: { ip: "10.67.0.2/24" } });
    expect(
      rerouted([attachment("net1")], [bare], {
        ifname: "net1",
        gateways: gateways("10.67.0.1"),
      }),
    ).toEqual([
      result({
        cniVersion: "0.2.0",
        ip4: {
          ip: "10.67.0.2/24",
          routes: [{ dst: "0.0.0.0/0", gw: "10.67.0.1" }],
        },
      }),
    ]);
  });
});
