/** selection.md §7, `"result": "merged"`. */
import { describe, expect, test } from "bun:test";
import type { Result } from "../../lib/cni/result.ts";
import { mergeResults } from "../../lib/cni/merge-results.ts";

const first = {
  cniVersion: "1.0.0",
  interfaces: [{ name: "br0" }, { name: "eth0", sandbox: "/ns" }],
  ips: [{ interface: 1, address: "10.0.0.2/24", gateway: "10.0.0.1" }],
  routes: [{ dst: "0.0.0.0/0", gw: "10.0.0.1" }],
  dns: { nameservers: ["10.0.0.10"], domain: "a.local", search: ["a"] },
} satisfies Result;

const second = {
  cniVersion: "0.4.0",
  interfaces: [{ name: "eth1", mac: "02:00:00:00:00:01", sandbox: "/ns" }],
  ips: [
    { version: "4", interface: 0, address: "10.1.0.2/24", gateway: "10.1.0.1" },
    { version: "6", address: "fd00::2/64", gateway: "fd00::1" },
  ],
  routes: [{ dst: "10.2.0.0/16" }, { dst: "fd01::/64" }],
  dns: {
    nameservers: ["10.1.0.10", "10.0.0.10"],
    domain: "b.local",
    search: ["b", "a"],
    options: ["ndots:5"],
  },
} satisfies Result;

describe("mergeResults", () => {
  test("appends interfaces, addresses with shifted indexes, routes and dns", () => {
    expect(mergeResults([first, second], 0)).toEqual({
      cniVersion: "1.1.0",
      interfaces: [...first.interfaces, ...second.interfaces],
      ips: [
        { interface: 1, address: "10.0.0.2/24", gateway: "10.0.0.1" },
        { interface: 2, address: "10.1.0.2/24", gateway: "10.1.0.1" },
        { address: "fd00::2/64", gateway: "fd00::1" },
      ],
      routes: [
        { dst: "0.0.0.0/0", gw: "10.0.0.1" },
        { dst: "10.2.0.0/16", gw: "10.1.0.1" },
        { dst: "fd01::/64", gw: "fd00::1" },
      ],
      dns: {
        nameservers: ["10.0.0.10", "10.1.0.10"],
        domain: "a.local",
        search: ["a", "b"],
        options: ["ndots:5"],
      },
    });
  });

  test("puts the primary first, the others in their order", () => {
    const named = ["a", "b", "c"].map((name): Result => ({
      cniVersion: "1.0.0",
      interfaces: [{ name }],
    }));
    expect(mergeResults(named, 1)).toEqual({
      cniVersion: "1.1.0",
      interfaces: [{ name: "b" }, { name: "a" }, { name: "c" }],
      ips: [],
      routes: [],
      dns: {},
    });
  });

  test("shifts by all interfaces before", () => {
    const one: Result = {
      cniVersion: "1.0.0",
      interfaces: [{ name: "x" }],
      ips: [{ interface: 0, address: "10.0.0.2/24" }],
    };
    expect(mergeResults([one, one, one], 0)).toHaveProperty(
      "ips",
      [0, 1, 2].map((index) => ({ interface: index, address: "10.0.0.2/24" })),
    );
  });

  test.each<[string, Result]>([
    [
      "no gateway",
      {
        cniVersion: "1.0.0",
        ips: [{ address: "10.0.0.2/24" }],
        routes: [{ dst: "10.9.0.0/16" }],
      },
    ],
    [
      "a gateway of the other family only",
      {
        cniVersion: "1.0.0",
        ips: [{ address: "fd00::2/64", gateway: "fd00::1" }],
        routes: [{ dst: "10.9.0.0/16" }],
      },
    ],
  ])("keeps a route of a result with %s as it is", (_, result) => {
    expect(mergeResults([first, result], 0)).toHaveProperty("routes.1", {
      dst: "10.9.0.0/16",
    });
  });

  test("gives a route the first gateway of its family", () => {
    const result: Result = {
      cniVersion: "1.0.0",
      ips: [
        { address: "10.0.0.2/24" },
        { address: "10.0.1.2/24", gateway: "10.0.1.1" },
        { address: "10.0.2.2/24", gateway: "10.0.2.1" },
      ],
      routes: [{ dst: "10.9.0.0/16", mtu: 1400, table: 0 }],
    };
    expect(mergeResults([first, result], 0)).toHaveProperty("routes.1", {
      dst: "10.9.0.0/16",
      gw: "10.0.1.1",
      mtu: 1400,
      table: 0,
    });
  });

  test("takes no domain but the primary's", () => {
    const merged = mergeResults(
      [{ cniVersion: "1.0.0" }, { cniVersion: "1.0.0", dns: { domain: "b" } }],
      0,
    );
    expect(merged).toHaveProperty("dns", {});
  });

  test("merges results from before 0.3.0", () => {
    const legacy: Result = {
      cniVersion: "0.2.0",
      ip4: {
        ip: "10.5.0.2/24",
        gateway: "10.5.0.1",
        routes: [{ dst: "0.0.0.0/0" }],
      },
      dns: { nameservers: ["10.5.0.10"] },
    };
    expect(mergeResults([legacy, first], 0)).toMatchObject({
      ips: [
        { address: "10.5.0.2/24", gateway: "10.5.0.1" },
        { interface: 1, address: "10.0.0.2/24", gateway: "10.0.0.1" },
      ],
      dns: { nameservers: ["10.5.0.10", "10.0.0.10"] },
    });
  });

  test("gives a route the gateway of its own result only, also to a single one", () => {
    const routed = (n: number, gateway?: string): Result => ({
      cniVersion: "1.0.0",
      ips: [{ address: `10.${n}.0.2/24`, ...(gateway && { gateway }) }],
      routes: [{ dst: `10.9.${n}.0/24` }],
    });
    const all = [routed(0), routed(1, "10.1.0.1"), routed(2, "10.2.0.1")];
    expect(mergeResults(all, 0)).toMatchObject({
      routes: [
        { dst: "10.9.0.0/24" },
        { dst: "10.9.1.0/24", gw: "10.1.0.1" },
        { dst: "10.9.2.0/24", gw: "10.2.0.1" },
      ],
    });
    expect(mergeResults([routed(1, "10.1.0.1")], 0)).toMatchObject({
      routes: [{ dst: "10.9.1.0/24", gw: "10.1.0.1" }],
    });
  });

  test("leaves its arguments alone", () => {
    const before = structuredClone([first, second]);
    mergeResults([first, second], 1);
    expect([first, second]).toEqual(before);
  });

  test("has no result without a primary", () => {
    expect([mergeResults([], 0), mergeResults([first], -1)]).toEqual([
      undefined,
      undefined,
    ]);
  });
});
