/**
 * Routes and rules of policy routing in the kernel's format (linux/rtnetlink.h,
 * linux/fib_rules.h). Unknown attributes of a route are kept, so a copy does what
 * the route did. Of foreign rules only the table is read; ours are `from
 * <address>`. Pure.
 */
import type { Family } from "./address.ts";
import { concat } from "./files.ts";
import {
  type Attribute,
  aligned,
  decodeAttributes,
  encodeAttributes,
  endOf,
  findAttribute,
  numberIn,
  u32,
  viewOf,
} from "./netlink.ts";
import {
  type Route,
  type Nexthop,
  type Rule,
  type ListedRule,
  RTPROT_BOOT,
  hasNexthopObject,
} from "./route.ts";

const addressFamily: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };

/** undefined for a family other than IPv4 and IPv6. */
export function familyOf(addressFamilyNumber: number): Family | undefined {
  if (addressFamilyNumber === addressFamily[4]) return "4";
  return addressFamilyNumber === addressFamily[6] ? "6" : undefined;
}

/**
 * The routes of one RTM_NEWROUTE: none for a cached route, for the table `local`
 * and for another family. For an IPv6 multipath route each nexthop is a route of
 * its own, as for the kernel. Throws SystemError EIO if it is malformed.
 */
export function decodeRoutes(payload: Uint8Array): Route[] {
  const { 0: number = 0, 1: prefix = 0, 4: shortTable = 0 } = payload;
  const family = familyOf(number);
  if (payload.byteLength < routeLength || !family) return [];
  const flags = viewOf(payload).getUint32(8, true);
  if (shortTable === RT_TABLE_LOCAL || flags & RTM_F_CLONED) return [];
  const all = decodeAttributes(payload.subarray(routeLength));
  let bytes: Uint8Array = new Uint8Array(family === "4" ? 4 : 16);
  let table = shortTable;
  let metric = 0;
  const attributes: Attribute[] = [];
  for (const attribute of all) {
    const { type, data } = attribute;
    if (type === RTA_DST) bytes = data;
    else if (type === RTA_TABLE) table = numberIn(data);
    else if (type === RTA_PRIORITY) metric = numberIn(data);
    // The lifetime is read-only; RTA_EXPIRES sets it.
    else if (type !== RTA_CACHEINFO && !nexthopTypes.has(type))
      attributes.push(attribute);
  }
  const { 2: source = 0, 3: tos = 0, 5: protocol = 0 } = payload;
  const { 6: scope = 0, 7: type = 0 } = payload;
  const route: Route = {
    family,
    destination: { ip: { family, bytes }, prefix },
    source,
    tos,
    table,
    protocol,
    scope,
    type,
    metric,
    nexthops: decodeNexthops(all, flags),
    attributes,
  };
  const isGroup =
    family === "6" && route.nexthops.length > 1 && !hasNexthopObject(route);
  return isGroup ? apart(route) : [route];
}

/**
 * For a group the kernel reports the attributes of the first route, and the
 * nexthops of the others.
 */
function apart(route: Route): Route[] {
  return route.nexthops.map((hop, i) => ({
    ...route,
    ...(i > 0 && { protocol: RTPROT_BOOT, attributes: [] }),
    nexthops: [hop],
  }));
}

/** The payload of RTM_GETROUTE for an IPv6 route to this destination over the same interface. */
export function encodeRouteQuery({ destination, nexthops }: Route): Uint8Array {
  return concat([
    Uint8Array.of(addressFamily[6], 128, 0, 0, 0, 0, 0, 0),
    u32(RTM_F_FIB_MATCH),
    encodeAttributes([
      { type: RTA_DST, data: destination.ip.bytes },
      { type: RTA_OIF, data: u32(nexthops[0]?.ifindex ?? 0) },
    ]),
  ]);
}

/** The payload of RTM_NEWROUTE and RTM_DELROUTE for exactly this route. */
export function encodeRoute(route: Route): Uint8Array {
  const { destination, metric, table } = route;
  const header = new Uint8Array([
    addressFamily[route.family],
    destination.prefix,
    route.source,
    route.tos,
    table < 256 ? table : RT_TABLE_COMPAT,
    route.protocol,
    route.scope,
    route.type,
  ]);
  // The kernel refuses a nexthop object together with its content.
  const { flags, attributes } = encodeNexthops(
    hasNexthopObject(route) ? [] : route.nexthops,
  );
  const fields: Attribute[] = [{ type: RTA_TABLE, data: u32(table) }];
  if (destination.prefix > 0)
    fields.push({ type: RTA_DST, data: destination.ip.bytes });
  if (metric) fields.push({ type: RTA_PRIORITY, data: u32(metric) });
  return concat([
    header,
    u32(flags),
    encodeAttributes([...fields, ...attributes, ...route.attributes]),
  ]);
}

const RT_TABLE_COMPAT = 252;
const RT_TABLE_LOCAL = 255;
const RTM_F_CLONED = 0x200;
/** The route itself, not what a packet would do by it. */
const RTM_F_FIB_MATCH = 0x2000;

const RTA_DST = 1;
const RTA_PRIORITY = 6;
const RTA_CACHEINFO = 12;
const RTA_TABLE = 15;

/** struct rtmsg: eight bytes and the flags. */
const routeLength = 12;

/** The nexthops in a route's attributes; `flags` are the route's. */
function decodeNexthops(
  attributes: readonly Attribute[],
  flags: number,
): Nexthop[] {
  const one: Attribute[] = [];
  let ifindex = 0;
  for (const attribute of attributes) {
    const { type, data } = attribute;
    if (type === RTA_MULTIPATH) return decodeList(data);
    if (type === RTA_OIF) ifindex = numberIn(data);
    if (nexthopTypes.has(type)) one.push(attribute);
  }
  return one.length === 0 ? [] : [nexthopOf(ifindex, flags, one)];
}

/** The flags and attributes of a route with these nexthops. */
function encodeNexthops(nexthops: readonly Nexthop[]): {
  flags: number;
  attributes: Attribute[];
} {
  const [first, ...others] = nexthops;
  if (!first) return { flags: 0, attributes: [] };
  // Only the list has weights: an IPv6 route of a group is sent as a list of one.
  if (others.length > 0 || first.weight !== undefined) {
    const data = concat(nexthops.map(encodeListed));
    return { flags: 0, attributes: [{ type: RTA_MULTIPATH, data }] };
  }
  const device = { type: RTA_OIF, data: u32(first.ifindex) };
  return {
    flags: flagsOf(first),
    attributes: [...(first.ifindex ? [device] : []), ...ownAttributes(first)],
  };
}

const RTNH_F_ONLINK = 4;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_MULTIPATH = 9;
const RTA_FLOW = 11;
const RTA_VIA = 18;
const RTA_ENCAP_TYPE = 21;
const RTA_ENCAP = 22;

/** struct rtnexthop: u16 length, u8 flags, u8 weight - 1, i32 interface. */
const listedLength = 8;

/** Kept unchanged. */
const opaqueTypes = new Set([RTA_FLOW, RTA_VIA, RTA_ENCAP_TYPE, RTA_ENCAP]);

/** The attributes of a route that belong to its nexthops. */
const nexthopTypes: ReadonlySet<number> = new Set([
  RTA_OIF,
  RTA_GATEWAY,
  RTA_MULTIPATH,
  ...opaqueTypes,
]);

function decodeList(bytes: Uint8Array): Nexthop[] {
  const nexthops: Nexthop[] = [];
  const view = viewOf(bytes);
  for (let at = 0; at + listedLength <= bytes.byteLength;) {
    const length = view.getUint16(at, true);
    const end = endOf(bytes, at, length, listedLength);
    const attributes = decodeAttributes(bytes.subarray(at + listedLength, end));
    const flags = view.getUint8(at + 2);
    const weight = view.getUint8(at + 3) + 1;
    const ifindex = view.getInt32(at + 4, true);
    const hop = nexthopOf(ifindex, flags, attributes);
    nexthops.push(weight > 1 ? { ...hop, weight } : hop);
    at += aligned(length);
  }
  return nexthops;
}

function encodeListed(hop: Nexthop): Uint8Array {
  const attributes = encodeAttributes(ownAttributes(hop));
  const header = new Uint8Array(listedLength);
  const view = viewOf(header);
  view.setUint16(0, listedLength + attributes.byteLength, true);
  view.setUint8(2, flagsOf(hop));
  view.setUint8(3, (hop.weight ?? 1) - 1);
  view.setInt32(4, hop.ifindex, true);
  return concat([header, attributes]);
}

function nexthopOf(
  ifindex: number,
  flags: number,
  attributes: readonly Attribute[],
): Nexthop {
  let gateway: Uint8Array | undefined;
  const kept: Attribute[] = [];
  for (const attribute of attributes) {
    if (attribute.type === RTA_GATEWAY) gateway = attribute.data;
    if (opaqueTypes.has(attribute.type)) kept.push(attribute);
  }
  const onlink = (flags & RTNH_F_ONLINK) !== 0;
  return { ifindex, gateway, onlink, attributes: kept };
}

/** The other flags are read-only: the kernel refuses "link is down". */
function flagsOf({ onlink }: Nexthop): number {
  return onlink ? RTNH_F_ONLINK : 0;
}

function ownAttributes({ gateway, attributes }: Nexthop): Attribute[] {
  return [
    ...(gateway ? [{ type: RTA_GATEWAY, data: gateway }] : []),
    ...attributes,
  ];
}

/** undefined for a rule of another family. */
export function decodeRule(payload: Uint8Array): ListedRule | undefined {
  const { 0: number = 0, 4: shortTable = 0 } = payload;
  const family = familyOf(number);
  if (!family) return undefined;
  const table = findAttribute(payload.subarray(ruleLength), FRA_TABLE);
  return { family, table: numberIn(table) || shortTable };
}

/** The payload of RTM_NEWRULE and RTM_DELRULE for exactly this rule. */
export function encodeRule({ source, table }: Rule): Uint8Array {
  const { family, bytes } = source;
  // struct fib_rule_hdr: family, length of destination and source, tos, table,
  // two reserved, action, u32 flags
  const header = new Uint8Array(ruleLength);
  header[0] = addressFamily[family];
  header[2] = bytes.byteLength * 8;
  header[4] = table < 256 ? table : RT_TABLE_UNSPEC;
  header[7] = FR_ACT_TO_TBL;
  const attributes = encodeAttributes([
    { type: FRA_SRC, data: bytes },
    { type: FRA_PRIORITY, data: u32(table) },
    { type: FRA_TABLE, data: u32(table) },
  ]);
  return concat([header, attributes]);
}

const ruleLength = 12;
const RT_TABLE_UNSPEC = 0;
const FR_ACT_TO_TBL = 1;
const FRA_SRC = 2;
const FRA_PRIORITY = 6;
const FRA_TABLE = 15;
