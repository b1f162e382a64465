/**
 * What ADD looks at in every pod with several networks, in a real network namespace:
 * interfaces, exit routes, and whether these contest each other.
 */
import { expect, test } from "bun:test";
import { formatCidr } from "../../lib/linux/address.ts";
import {
  PodNetwork,
  hasAll,
  isContested,
} from "../../lib/linux/pod-network.ts";
import { decodeRoutes } from "../../lib/linux/route-message.ts";
import { Rtnetlink } from "../../lib/linux/rtnetlink.ts";
import { startPod } from "./pod.ts";

const viaEth0 = "ip route add default via 10.0.0.1 dev eth0";
const viaEth0V6 = "ip -6 route add default via fd00::1 dev eth0";

test("PodNetwork.links, as Rtnetlink lists them", async () => {
  await using pod = await startPod("");
  using network = new PodNetwork(pod.path);
  using routing = new Rtnetlink(pod.path);
  expect(network.links()).toEqual(routing.links());
  expect(network.links().get("lo")).toBe(1);
});

test("PodNetwork.exitRoutes, default routes and routes to single addresses of the main table", async () => {
  await using pod = await startPod(`${viaEth0}; ${viaEth0V6}
    ip route add 169.254.1.1 dev net1 scope link
    ip -6 route add fd99::1 dev net1
    ip route add 10.9.0.0/16 via 10.0.0.1
    ip -6 route add 8000::/1 dev net1
    ip route add 10.9.9.9 dev net1 table 100`);
  using network = new PodNetwork(pod.path);
  const payloads = network.exitRoutes();
  const routes = payloads.flatMap((payload) => decodeRoutes(payload));
  expect(
    routes.map(({ destination }) => formatCidr(destination)).toSorted(),
  ).toEqual(["0.0.0.0/0", "169.254.1.1/32", "8000::/1", "::/0", "fd99::1/128"]);
  expect(network.exitRoutes()).toEqual(payloads);
});

test.each([
  ["none", "", false],
  ["one of each family", `${viaEth0}; ${viaEth0V6}`, false],
  [
    "two of a family",
    `${viaEth0}; ip route add default via 10.1.0.1 dev net1 metric 5`,
    true,
  ],
  [
    "two of IPv6",
    `${viaEth0V6}; ip -6 route add default via fd01::1 dev net1 metric 5`,
    true,
  ],
  [
    "one over two interfaces",
    "ip route add default nexthop via 10.0.0.1 dev eth0 nexthop via 10.1.0.1 dev net1",
    true,
  ],
  [
    "one of IPv6 over two interfaces",
    "ip -6 route add default nexthop via fd00::1 dev eth0 nexthop via fd01::1 dev net1",
    true,
  ],
  [
    "one beside routes to both halves",
    `${viaEth0}; ip route add 0.0.0.0/1 dev net1; ip route add 128.0.0.0/1 dev net1`,
    true,
  ],
  ["one in another table", "ip route add default dev net1 table 7", false],
])("isContested, default routes: %s", async (_, commands, expected) => {
  await using pod = await startPod(commands);
  using network = new PodNetwork(pod.path);
  expect(isContested(network.exitRoutes())).toBe(expected);
});

test("hasAll, a route that was replaced is not there", async () => {
  await using pod = await startPod(viaEth0);
  using network = new PodNetwork(pod.path);
  const before = network.exitRoutes();
  await pod.ip("-6 route add default via fd00::1");
  expect(hasAll(network.exitRoutes(), before)).toBe(true);
  await pod.ip("route replace default via 10.1.0.1");
  expect(hasAll(network.exitRoutes(), before)).toBe(false);
  expect(hasAll([], [])).toBe(true);
});

test("hasAll, 60,000 routes, as a running pod may make them: not compared in pairs", () => {
  const routes = Array.from({ length: 60_000 }, (_, i) =>
    Uint8Array.of(i, i >> 8),
  );
  expect(hasAll(routes, routes)).toBe(true);
  expect(hasAll(routes, [...routes, Uint8Array.of(0)])).toBe(false);
});

test("PodNetwork, no network namespace: an error that names it", () => {
  expect(() => new PodNetwork("/var/run/netns/absent")).toThrow(
    'failed to open network namespace "/var/run/netns/absent": no such file or directory',
  );
});
