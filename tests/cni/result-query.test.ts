/**
 * Requested addresses compared with a result (selection.md §6).
 */
import { describe, expect, test } from "bun:test";
import {
  defaultRoutes,
  podInterface,
  podInterfaces,
  unmetRequests,
} from "../../lib/cni/result-query.ts";
import { modernResult, parseResult } from "../../lib/cni/result.ts";

interface Requests {
  ips?: string[];
  mac?: string;
}

function problems(requests: Requests, result: object): string[] {
  return unmetRequests(requests, "net1", parseResult(result, "1.0.0"));
}

const mac = "02:00:00:00:00:07";
const result = {
  cniVersion: "1.0.0",
  interfaces: [
    { name: "net1", mac: "02:00:00:00:00:01" },
    { name: "net1", mac, sandbox: "/run/netns/a" },
    { name: "other", mac: "02:00:00:00:00:02", sandbox: "/run/netns/a" },
  ],
  ips: [{ address: "10.30.0.7/24", interface: 1 }, { address: "fd00::7/64" }],
};

describe("unmetRequests", () => {
  const cases: [string, Requests, object, string[]][] = [
    ["nothing was requested", {}, {}, []],
    [
      "addresses and MAC were given",
      { ips: ["10.30.0.7", "fd00::7"], mac },
      result,
      [],
    ],
    [
      "other spellings of the same",
      { ips: ["10.30.0.7/16", "fd00:0::0007/64"], mac: "02-00-00-00-00-07" },
      result,
      [],
    ],
    [
      "upper case",
      { mac: mac.toUpperCase() },
      { interfaces: [{ name: "net1", mac: "02:00:00:00:00:07" }] },
      [],
    ],
    [
      "another address",
      { ips: ["10.30.0.8/24", "10.30.0.7"] },
      result,
      ["address 10.30.0.8/24 was requested, but not given"],
    ],
    [
      "no address",
      { ips: ["10.30.0.8", "fd00::8"] },
      {},
      [
        "address 10.30.0.8 was requested, but not given",
        "address fd00::8 was requested, but not given",
      ],
    ],
    [
      "the MAC of another interface",
      { mac: "02:00:00:00:00:02" },
      result,
      [`MAC address 02:00:00:00:00:02 was requested, but ${mac} was given`],
    ],
    [
      "the MAC of the host's end",
      { mac: "02:00:00:00:00:01" },
      result,
      [`MAC address 02:00:00:00:00:01 was requested, but ${mac} was given`],
    ],
    [
      "no interface",
      { mac },
      {},
      [`MAC address ${mac} was requested, but none was given`],
    ],
    [
      "both",
      { ips: ["10.30.0.8"], mac },
      {},
      [
        "address 10.30.0.8 was requested, but not given",
        `MAC address ${mac} was requested, but none was given`,
      ],
    ],
    [
      "a result of 0.2.0",
      { ips: ["10.30.0.7", "fd00::7"] },
      {
        cniVersion: "0.2.0",
        ip4: { ip: "10.30.0.7/24" },
        ip6: { ip: "fd00::7/64" },
      },
      [],
    ],
  ];
  test.each(cases)("%s", (_, asked, given, expected) => {
    expect(problems(asked, given)).toEqual(expected);
  });
});

test("podInterface, the one with a sandbox, else the first of that name", () => {
  const modern = modernResult(parseResult(result, "1.0.0"));
  expect(podInterface(modern, "net1")).toEqual({
    name: "net1",
    mac,
    sandbox: "/run/netns/a",
  });
  const hosts = { ...modern, interfaces: modern.interfaces.slice(0, 1) };
  expect(podInterface(hosts, "net1")).toEqual({
    name: "net1",
    mac: "02:00:00:00:00:01",
  });
  expect(podInterface(modern, "net2")).toBeUndefined();
});

test.each([
  [["net1", "net1", "other"], result],
  [["net1"], { ips: [{ address: "10.30.0.7/24" }] }],
])("podInterfaces, its own and those with a sandbox: %j", (expected, given) => {
  const modern = modernResult(parseResult(given, "1.0.0"));
  expect(podInterfaces(modern, "net1")).toEqual(expected);
});

test.each([
  [true, [{ dst: "0.0.0.0/0" }]],
  [true, [{ dst: "::/0", gw: "fd00::1" }]],
  [true, [{ dst: "0.0.0.0/0", table: 254 }]],
  [true, [{ dst: "0.0.0.0/0", table: 0 }]],
  [false, [{ dst: "0.0.0.0/0", table: 100 }]],
  [false, [{ dst: "0.0.0.0/1" }]],
  [false, [{ dst: "10.0.0.0/8" }]],
  [true, [{ dst: "0.0.0.0/1" }, { dst: "128.0.0.0/1" }]],
  [
    true,
    [
      { dst: "8000::/1", gw: "fd00::1" },
      { dst: "::/1", gw: "fd00::1" },
    ],
  ],
  [false, [{ dst: "::/1" }, { dst: "128.0.0.0/1" }]],
  [false, [{ dst: "0.0.0.0/1" }, { dst: "128.0.0.0/1", table: 100 }]],
])("defaultRoutes, %p for %j", (expected, routes) => {
  const modern = modernResult(
    parseResult({ cniVersion: "1.1.0", routes }, "1.1.0"),
  );
  const all = expected ? [...modern.routes] : [];
  expect(defaultRoutes(modern)).toEqual(all);
});
