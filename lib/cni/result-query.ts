/**
 * Reads results: addresses, interfaces, routes, and whether a result has the
 * requested addresses. Pure.
 */
import {
  formatCidr,
  formatIp,
  otherHalf,
  parseCidr,
  parseIp,
  parseMac,
} from "../linux/address.ts";
import {
  type Interface,
  type ModernResult,
  type Result,
  type Route,
  modernResult,
} from "./result.ts";

/**
 * The requested addresses and MAC that a result does not have, as messages
 * (selection.md §6): a plugin that ignores a request does not fail.
 */
export function unmetRequests(
  { ips = [], mac }: { ips?: readonly string[]; mac?: string },
  ifname: string,
  result: Result,
): string[] {
  const modern = modernResult(result);
  const given = new Set(addressesOf(modern).map(canonicalAddress));
  const problems = ips
    .filter((ip) => !given.has(canonicalAddress(ip)))
    .map((ip) => `address ${ip} was requested, but not given`);
  const givenMac = podInterface(modern, ifname)?.mac;
  if (mac !== undefined && !sameMac(mac, givenMac))
    problems.push(
      `MAC address ${mac} was requested, but ${givenMac ?? "none"} was given`,
    );
  return problems;
}

/** With prefix, in the order of the result. */
export function addressesOf(result: Result): string[] {
  return modernResult(result).ips.map(({ address }) => address);
}

/** The interface of that name, preferably the one in the sandbox. */
export function podInterface(
  { interfaces }: ModernResult,
  ifname: string,
): Interface | undefined {
  let named: Interface | undefined;
  for (const one of interfaces) {
    if (one.name !== ifname) continue;
    if (one.sandbox) return one;
    named ??= one;
  }
  return named;
}

/**
 * The interfaces of a result that are in the same sandbox as `own`. The VPC CNI of AWS
 * stores other things as `sandbox` of an interface that does not exist.
 */
export function otherPodInterfaces(
  { interfaces }: ModernResult,
  own: Interface | undefined,
): Interface[] {
  const others: Interface[] = [];
  for (const one of interfaces)
    if (own?.sandbox && one.sandbox === own.sandbox && one.name !== own.name)
      others.push(one);
  return others;
}

/** The names of the interfaces that a result has in the pod; one may be there twice. */
export function podInterfaces(result: ModernResult, ifname: string): string[] {
  const names = [ifname];
  for (const { name, sandbox } of result.interfaces)
    if (sandbox) names.push(name);
  return names;
}

/** The names of the interfaces that a result has on the host: ends of links, bridges. */
export function hostInterfaces(result: Result): string[] {
  const { interfaces } = modernResult(result);
  return interfaces.filter(({ sandbox }) => !sandbox).map(({ name }) => name);
}

/** `RT_TABLE_MAIN` of rtnetlink; an absent or zero `table` means it too. */
const mainTable = 254;

/**
 * The default routes of the main table, and pairs that do the same ({@link otherHalf}); other
 * tables are for policy routing.
 */
export function defaultRoutes({ routes }: ModernResult): Route[] {
  const wide: Route[] = [];
  const destinations: string[] = [];
  for (const route of routes) {
    const cidr = parseCidr(route.dst);
    if (!cidr || cidr.prefix > 1 || (route.table || mainTable) !== mainTable)
      continue;
    wide.push(route);
    destinations.push(formatCidr(cidr));
  }
  const found: Route[] = [];
  for (const [i, route] of wide.entries()) {
    const other = otherHalf[destinations[i] ?? ""];
    if (other === undefined || destinations.includes(other)) found.push(route);
  }
  return found;
}

/** A route's gateway: its own, else the first of its family in the same result. */
export function gatewayOf(
  { dst, gw }: Route,
  { ips }: ModernResult,
): string | undefined {
  if (gw) return gw;
  const family = parseCidr(dst)?.ip.family;
  for (const { gateway } of ips) {
    if (gateway && parseIp(gateway)?.family === family) return gateway;
  }
  return undefined;
}

function sameMac(a: string, b = ""): boolean {
  const [left, right] = [parseMac(a), parseMac(b)];
  return left && right ? Buffer.compare(left, right) === 0 : false;
}

/** Canonical, without a prefix. */
function canonicalAddress(text: string): string {
  const ip = parseCidr(text)?.ip ?? parseIp(text);
  return ip ? formatIp(ip) : text;
}
