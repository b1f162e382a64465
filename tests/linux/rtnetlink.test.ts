/**
 * What is listed of a real network namespace, and changes that are made already.
 */
import { expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { formatCidr, formatIp } from "../../lib/linux/address.ts";
import { CniError } from "../../lib/cni/error.ts";
import { SystemError } from "../../lib/linux/errno.ts";
import { Rtnetlink } from "../../lib/linux/rtnetlink.ts";
import { routeVia } from "../../lib/linux/route.ts";
import { Netns } from "../support/netns.ts";
import { ip, routingOf, startPod, table as textOfAll } from "./pod.ts";

test("links, addresses, routes and rules of both families", async () => {
  await using pod = await startPod(
    `ip addr add 10.7.0.1 peer 10.7.0.9/32 dev net2
     ip rule add from 10.1.0.7 lookup 1234; ip -6 rule add from fd01::7 lookup 77`,
  );
  using routing = new Rtnetlink(pod.path);
  const links = routing.links();
  expect([...links.keys()].toSorted()).toEqual([
    "eth0",
    "lo",
    "net1",
    "net2",
    "peer0",
    "peer1",
    "peer2",
  ]);
  const net2 = links.get("net2");
  const addresses = routing
    .addresses()
    .filter(({ ifindex }) => ifindex === net2)
    .map(({ ip: address, prefix, scope }) => [
      formatCidr({ ip: address, prefix }),
      scope,
    ]);
  expect(addresses).toEqual([
    ["10.2.0.2/24", 0],
    ["10.7.0.1/32", 0],
    ["fd02::2/64", 0],
    ["fe80::4/64", 253],
  ]);
  const routes = routing
    .routes()
    .filter(({ nexthops }) => nexthops.some((hop) => hop.ifindex === net2))
    .map(({ destination, table, scope, nexthops: [hop] }) => [
      formatCidr(destination),
      hop?.gateway && formatIp({ family: "4", bytes: hop.gateway }),
      table,
      scope,
    ]);
  expect(routes).toEqual([
    ["0.0.0.0/0", "10.2.0.1", 100, 0],
    ["10.2.0.0/24", undefined, 254, 253],
    ["10.7.0.9/32", undefined, 254, 253],
    ["fd02::/64", undefined, 254, 0],
    ["fe80::/64", undefined, 254, 0],
  ]);
  expect(routing.rules()).toEqual([
    { family: "4", table: 255 },
    { family: "4", table: 1234 },
    { family: "4", table: 254 },
    { family: "4", table: 253 },
    { family: "6", table: 255 },
    { family: "6", table: 77 },
    { family: "6", table: 254 },
  ]);
});

test.each(["10.1.0.1", "fd01::1"])(
  "what is so already is no error, via %s",
  async (gateway) => {
    await using pod = await startPod("");
    using routing = new Rtnetlink(pod.path);
    const route = routeVia(ip(gateway), routing.links().get("net1") ?? 0, 50);
    const rule = { source: ip(gateway), table: 1000 };
    for (let i = 0; i < 2; i++) {
      routing.addRoute(route);
      routing.addRule(rule);
    }
    const { main, rules } = await routingOf(pod);
    expect([main.length, rules]).toEqual([
      1,
      [`1000: from ${gateway} lookup 1000`],
    ]);
    for (let i = 0; i < 2; i++) {
      routing.removeRoute(route);
      routing.removeRule(rule);
    }
    expect(await routingOf(pod)).toEqual({ main: [], tables: {}, rules: [] });
  },
);

test("addRoute, the error of the kernel has its reason", async () => {
  await using pod = await startPod("");
  using routing = new Rtnetlink(pod.path);
  const net1 = routing.links().get("net1") ?? 0;
  expect(() => routing.addRoute(routeVia(ip("10.9.0.1"), net1, 0))).toThrow(
    new SystemError("ENETUNREACH", "Nexthop has invalid gateway"),
  );
});

test("no such network namespace, an error that names it", async () => {
  const pod = await Netns.create();
  await pod.remove();
  let thrown: unknown;
  try {
    using _ = new Rtnetlink(pod.path);
  } catch (error) {
    thrown = error;
  }
  expect(CniError.from(thrown).toObject("1.1.0")).toEqual({
    cniVersion: "1.1.0",
    code: 999,
    msg: `failed to open network namespace "${pod.path}": no such file or directory`,
    details: "ENOENT",
  });
});

test("counters and numberOf: the namespace of a veth's other end", async () => {
  await using pod = await Netns.create();
  await using host = await Netns.create();
  await using stranger = await Netns.create();
  const make = "link add net1 type veth peer name far0 netns";
  await pod.run("ip", ...make.split(" "), host.name);
  await pod.run("ip", ..."link add in0 type veth peer name in1".split(" "));
  using routing = new Rtnetlink(pod.path);
  const counters = routing.counters();
  const numberOf = ({ path }: Netns) => {
    const fd = openSync(path, "r");
    try {
      return routing.numberOf(fd);
    } finally {
      closeSync(fd);
    }
  };
  expect(numberOf(host)).toBeNumber();
  expect(counters.get("net1")?.peerNamespace).toBe(numberOf(host));
  expect(counters.get("in0")?.peerNamespace).toBeUndefined();
  expect(numberOf(stranger)).toBeUndefined();
});

test("routes, each of an IPv6 group has its own attributes", async () => {
  const routes = [
    "default via fd00::1 dev eth0 mtu 1400",
    "default via fd01::1 dev net1 proto static mtu 1300",
    "2001:db8::/48 via fd00::1 dev eth0 metric 7",
    "2001:db8::/48 via fd01::1 dev net1 metric 7 src fd01::2",
  ];
  const made = routes.map((route) => `ip -6 route append ${route}`).join("\n");
  await using pod = await startPod(made);
  const before = await textOfAll(pod);
  using routing = new Rtnetlink(pod.path);
  const group = routing
    .routes()
    .filter(({ family, nexthops }) => family === "6" && nexthops[0]?.gateway);
  expect(group).toHaveLength(4);
  for (const route of group) routing.removeRoute(route);
  expect(await textOfAll(pod)).not.toContain("via fd0");
  for (const route of group) routing.addRoute(route);
  expect(await textOfAll(pod)).toBe(before);
  for (const text of ["eth0", "net1"]) {
    const shown = await pod.ip(`-6 route get fibmatch :: oif ${text}`);
    expect(shown).toContain(`mtu ${text === "eth0" ? 1400 : 1300}`);
  }
});
