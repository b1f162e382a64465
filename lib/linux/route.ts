/**
 * A route of the kernel: its fields, its effect, and copies that have a part of it.
 * `route-message` has the kernel's format. Pure.
 */
import {
  type Cidr,
  type Family,
  type Ip,
  formatCidr,
  formatIp,
  otherHalf,
} from "./address.ts";
import type { Attribute } from "./netlink.ts";

export interface Route {
  readonly family: Family;
  /** Prefix 0 is a default route. */
  readonly destination: Cidr;
  /** Length of the source prefix, IPv6 only. */
  readonly source: number;
  readonly tos: number;
  readonly table: number;
  /** Its origin: `RTPROT_*`. */
  readonly protocol: number;
  readonly scope: number;
  /** `RTN_*`. */
  readonly type: number;
  /** 0 if the kernel shows none. */
  readonly metric: number;
  /** Empty for a route that leads nowhere (blackhole); several for multipath. */
  readonly nexthops: readonly Nexthop[];
  readonly attributes: readonly Attribute[];
}

export interface Nexthop {
  /** 0 without an interface. */
  readonly ifindex: number;
  /** Undefined for a network on the link. */
  readonly gateway: Uint8Array | undefined;
  /** The gateway need not be in a network of the interface. */
  readonly onlink: boolean;
  /** Its share of a multipath route; absent: 1. */
  readonly weight?: number;
  readonly attributes: readonly Attribute[];
}

/** `from <source> lookup <table>`, for one address; the table's number is its priority. */
export interface Rule {
  readonly source: Ip;
  readonly table: number;
}

/** The relevant part of an existing rule. */
export interface ListedRule {
  readonly family: Family;
  readonly table: number;
}

export const RT_TABLE_MAIN = 254;
const RTN_UNICAST = 1;
/** The origin of routes of CNI plugins and of `ip route add`. */
export const RTPROT_BOOT = 3;
/** Learned from a router advertisement. */
export const RTPROT_RA = 9;

const RTA_NH_ID = 30;

/** Whether a nexthop object, which several routes may share, has its interface and gateway. */
export function hasNexthopObject({ attributes }: Route): boolean {
  for (const { type } of attributes) if (type === RTA_NH_ID) return true;
  return false;
}

/** The same route with other nexthops in the route itself, not in a shared nexthop object. */
export function withNexthops(
  route: Route,
  nexthops: readonly Nexthop[],
): Route {
  const attributes: Attribute[] = [];
  for (const attribute of route.attributes)
    if (attribute.type !== RTA_NH_ID) attributes.push(attribute);
  return { ...route, nexthops, attributes };
}

/** A default route of the main table, as a plugin would make it. */
export function routeVia(gateway: Ip, ifindex: number, metric: number): Route {
  const { family, bytes } = gateway;
  const none = new Uint8Array(family === "4" ? 4 : 16);
  return {
    family,
    destination: { ip: { family, bytes: none }, prefix: 0 },
    source: 0,
    tos: 0,
    table: RT_TABLE_MAIN,
    protocol: RTPROT_BOOT,
    scope: 0,
    type: RTN_UNICAST,
    metric,
    nexthops: [{ ifindex, gateway: bytes, onlink: false, attributes: [] }],
    attributes: [],
  };
}

/**
 * The default routes of a table, and pairs of routes over one interface that do the same
 * ({@link otherHalf}). A route from a source prefix is for that source only and does not count.
 */
export function defaultRoutesOf(
  routes: readonly Route[],
  table = RT_TABLE_MAIN,
): Route[] {
  const wide: Route[] = [];
  const halves = new Set<string>();
  for (const route of routes) {
    const { destination, source, nexthops } = route;
    if (route.table !== table || source !== 0 || destination.prefix > 1)
      continue;
    wide.push(route);
    if (!isHalf(route)) continue;
    for (const { ifindex } of nexthops)
      halves.add(`${formatCidr(destination)} ${ifindex}`);
  }
  if (halves.size === 0) return wide;
  return wide.filter(
    (route) =>
      !isHalf(route) ||
      route.nexthops.some(({ ifindex }) =>
        halves.has(`${otherHalf[formatCidr(route.destination)]} ${ifindex}`),
      ),
  );
}

/** Whether a default route is one of a pair: it wins over a whole one, whatever their metrics. */
export function isHalf({ destination }: Route): boolean {
  return destination.prefix === 1;
}

/** Whether it leads to a network on the link, without a gateway. */
export function isLinkScope({ nexthops }: Route): boolean {
  for (const { gateway } of nexthops) if (gateway) return false;
  return nexthops.length > 0;
}

/** Whether any of its nexthops is over one of the interfaces. */
export function isOver(
  { nexthops }: Route,
  ifindexes: ReadonlySet<number>,
): boolean {
  for (const { ifindex } of nexthops) if (ifindexes.has(ifindex)) return true;
  return false;
}

/** The part of a route over these interfaces. */
export function onlyOver(route: Route, ifindexes: ReadonlySet<number>): Route {
  const over: Nexthop[] = [];
  for (const hop of route.nexthops)
    if (ifindexes.has(hop.ifindex)) over.push(hop);
  return withNexthops(route, over);
}

/** As `ip route` prints it: `default via 10.1.1.1 dev net1 table 1000`. */
export function describeRoute(
  { destination, nexthops, table, type }: Route,
  names: ReadonlyMap<number, string>,
): string {
  const hops = nexthops.map(({ gateway, ifindex }) => {
    const via = gateway ? `via ${addressText(gateway)} ` : "";
    return `${via}dev ${names.get(ifindex) ?? `#${ifindex}`}`;
  });
  return [
    destination.prefix === 0 ? "default" : formatCidr(destination),
    hops.length === 0 ? `of type ${type}` : hops.join(" and "),
    table === RT_TABLE_MAIN ? "" : `table ${table}`,
  ]
    .filter(Boolean)
    .join(" ");
}

/** The text of an address of 4 or 16 bytes. */
export function addressText(bytes: Uint8Array): string {
  return formatIp({ family: bytes.byteLength === 4 ? "4" : "6", bytes });
}
