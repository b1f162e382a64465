/**
 * A route as the kernel lists it and as it is told to it (linux/rtnetlink.h).
 * What we do not understand is carried along as it came, so that a route that
 * was removed can be put back as it was. Pure.
 */
import { type Family, formatIp } from "../cni/address.ts";
import {
  type Attribute,
  concat,
  decodeAttributes,
  encodeAttributes,
  numberIn,
  u32,
  viewOf,
} from "./message.ts";
import {
  decodeNexthops,
  encodeNexthops,
  type Nexthop,
  nexthopTypes,
} from "./nexthop.ts";

export interface Route {
  readonly family: Family;
  /** Length of the prefix; 0 is a default route. */
  readonly destination: number;
  /** Length of the source prefix, IPv6 only. */
  readonly source: number;
  readonly tos: number;
  readonly table: number;
  /** Who made it: `RTPROT_*`. */
  readonly protocol: number;
  readonly scope: number;
  /** `RTN_*`. */
  readonly type: number;
  /** 0 where the kernel shows none. */
  readonly metric: number;
  /** None for a route that leads nowhere (blackhole); more than one is multipath. */
  readonly nexthops: readonly Nexthop[];
  /** Seconds that an IPv6 route has left, when it was made to expire. */
  readonly expires?: number;
  readonly attributes: readonly Attribute[];
}

export const addressFamily: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };

export const RT_TABLE_MAIN = 254;
export const RTN_UNICAST = 1;
/** What every CNI plugin's routes carry, and those of `ip route add`. */
export const RTPROT_BOOT = 3;

/**
 * The routes of one RTM_NEWROUTE: none for a cached one, and of an IPv6
 * multipath route each nexthop, because for the kernel those are routes of their
 * own. Throws SystemError EIO when it is malformed.
 */
export function decodeRoutes(payload: Uint8Array): Route[] {
  if (payload.byteLength < headerLength) return [];
  const flags = viewOf(payload).getUint32(8, true);
  if (flags & RTM_F_CLONED) return [];
  const attributes = decodeAttributes(payload.subarray(headerLength));
  const valueOf = (wanted: number) =>
    attributes.find(({ type }) => type === wanted)?.data;
  const byte = (at: number) => payload[at] ?? 0;
  const expires = expiry(valueOf(RTA_CACHEINFO));
  const route: Route = {
    family: byte(0) === addressFamily[6] ? "6" : "4",
    destination: byte(1),
    source: byte(2),
    tos: byte(3),
    table: numberIn(valueOf(RTA_TABLE)) || byte(4),
    protocol: byte(5),
    scope: byte(6),
    type: byte(7),
    metric: numberIn(valueOf(RTA_PRIORITY)),
    nexthops: decodeNexthops(attributes, flags),
    ...(expires !== undefined && { expires }),
    attributes: attributes.filter(
      ({ type }) => !fieldTypes.has(type) && !nexthopTypes.has(type),
    ),
  };
  const separable =
    route.family === "6" && route.nexthops.length > 1 && !isObject(route);
  return separable
    ? route.nexthops.map((nexthop) => ({ ...route, nexthops: [nexthop] }))
    : [route];
}

/** What RTM_NEWROUTE and RTM_DELROUTE say to make exactly this route, or to remove it. */
export function encodeRoute(route: Route): Uint8Array {
  const { metric, expires, table } = route;
  const header = Uint8Array.of(
    addressFamily[route.family],
    route.destination,
    route.source,
    route.tos,
    table < 256 ? table : RT_TABLE_COMPAT,
    route.protocol,
    route.scope,
    route.type,
  );
  // The kernel refuses both: the object, and what is in it.
  const { flags, attributes } = encodeNexthops(
    isObject(route) ? [] : route.nexthops,
  );
  const fields: Attribute[] = [{ type: RTA_TABLE, data: u32(table) }];
  if (metric) fields.push({ type: RTA_PRIORITY, data: u32(metric) });
  if (expires) fields.push({ type: RTA_EXPIRES, data: u32(expires) });
  return concat([
    header,
    u32(flags),
    encodeAttributes([...fields, ...attributes, ...route.attributes]),
  ]);
}

/**
 * Equal for two routes that the kernel cannot hold side by side. For IPv6 that is
 * little, and of routes in a group the kernel shows only the first one's origin.
 */
export function identityOf(route: Route): string {
  const { expires: _, ...lasting } = route;
  if (route.family === "4") return encodeRoute(lasting).toHex();
  return encodeRoute({
    ...lasting,
    protocol: 0,
    nexthops: route.nexthops.map((nexthop) => ({ ...nexthop, weight: 0 })),
    attributes: route.attributes.filter(
      ({ type }) => type === RTA_SRC || type === RTA_NH_ID,
    ),
  }).toHex();
}

/** The nexthops in the words of `ip route`: `via 10.1.1.1 dev net1`. */
export function describeRoute(
  route: Route,
  links: ReadonlyMap<number, string>,
): string {
  if (route.nexthops.length === 0) return `of type ${route.type}`;
  return route.nexthops
    .map(({ gateway, ifindex }) => {
      const via = gateway ? `via ${addressText(gateway)} ` : "";
      return `${via}dev ${links.get(ifindex) ?? `#${ifindex}`}`;
    })
    .join(" and ");
}

const RT_TABLE_COMPAT = 252;
const RTM_F_CLONED = 0x200;
/** Ticks in a second, of the clock that the kernel shows to programs. */
const USER_HZ = 100;

const RTA_SRC = 2;
const RTA_PRIORITY = 6;
const RTA_CACHEINFO = 12;
const RTA_TABLE = 15;
const RTA_EXPIRES = 23;
const RTA_NH_ID = 30;

/** Have a field of their own in a Route, or are statistics. */
const fieldTypes = new Set([RTA_PRIORITY, RTA_CACHEINFO, RTA_TABLE]);

/** struct rtmsg: eight bytes and the flags. */
const headerLength = 12;

/** Led by a nexthop object, which has its interface and gateway in itself. */
function isObject(route: Route): boolean {
  return route.attributes.some(({ type }) => type === RTA_NH_ID);
}

/** Seconds left in a struct rta_cacheinfo; nothing when the route stays. */
function expiry(cacheinfo: Uint8Array | undefined): number | undefined {
  if (!cacheinfo || cacheinfo.byteLength < 12) return undefined;
  const ticks = viewOf(cacheinfo).getInt32(8, true);
  return ticks > 0 ? Math.ceil(ticks / USER_HZ) : undefined;
}

function addressText(bytes: Uint8Array): string {
  return formatIp({ family: bytes.byteLength === 4 ? "4" : "6", bytes });
}
