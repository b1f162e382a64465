/**
 * Where a route leads: one interface and gateway, or a list of them with
 * weights. How they are written differs with their number (linux/rtnetlink.h,
 * struct rtnexthop); this module owns that difference. Pure.
 */
import {
  type Attribute,
  aligned,
  concat,
  decodeAttributes,
  encodeAttributes,
  endOf,
  numberIn,
  u32,
  viewOf,
} from "./netlink-message.ts";

export interface Nexthop {
  /** 0 where it has no interface. */
  readonly ifindex: number;
  /** Undefined for a network that is directly on the link. */
  readonly gateway: Uint8Array | undefined;
  /** The kernel's count, one less than what `ip route` calls weight. */
  readonly weight: number;
  /** The gateway need not be in a network of the interface. */
  readonly onlink: boolean;
  readonly attributes: readonly Attribute[];
}

/** The nexthops in a route's attributes; `flags` are the route's. */
export function decodeNexthops(
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
  return one.length === 0 ? [] : [nexthop(ifindex, flags, 0, one)];
}

/** The flags and attributes that give a route these nexthops. */
export function encodeNexthops(nexthops: readonly Nexthop[]): {
  flags: number;
  attributes: Attribute[];
} {
  const [first, ...others] = nexthops;
  if (!first) return { flags: 0, attributes: [] };
  // A weight can be said only in a list.
  if (others.length > 0 || first.weight > 0) {
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

/** struct rtnexthop: u16 length, u8 flags, u8 weight, i32 interface. */
const headerLength = 8;

/** Kept as they came. */
const opaqueTypes = new Set([RTA_FLOW, RTA_VIA, RTA_ENCAP_TYPE, RTA_ENCAP]);

/** What of a route's attributes belongs to its nexthops. */
export const nexthopTypes: ReadonlySet<number> = new Set([
  RTA_OIF,
  RTA_GATEWAY,
  RTA_MULTIPATH,
  ...opaqueTypes,
]);

function decodeList(bytes: Uint8Array): Nexthop[] {
  const nexthops: Nexthop[] = [];
  const view = viewOf(bytes);
  for (let at = 0; at + headerLength <= bytes.byteLength;) {
    const length = view.getUint16(at, true);
    const end = endOf(bytes, at, length, headerLength);
    const attributes = decodeAttributes(bytes.subarray(at + headerLength, end));
    const [flags, weight] = [view.getUint8(at + 2), view.getUint8(at + 3)];
    const ifindex = view.getInt32(at + 4, true);
    nexthops.push(nexthop(ifindex, flags, weight, attributes));
    at += aligned(length);
  }
  return nexthops;
}

function encodeListed(hop: Nexthop): Uint8Array {
  const attributes = encodeAttributes(ownAttributes(hop));
  const header = new Uint8Array(headerLength);
  const view = viewOf(header);
  view.setUint16(0, headerLength + attributes.byteLength, true);
  view.setUint8(2, flagsOf(hop));
  view.setUint8(3, hop.weight);
  view.setInt32(4, hop.ifindex, true);
  return concat([header, attributes]);
}

function nexthop(
  ifindex: number,
  flags: number,
  weight: number,
  attributes: readonly Attribute[],
): Nexthop {
  let gateway: Uint8Array | undefined;
  const kept: Attribute[] = [];
  for (const attribute of attributes) {
    if (attribute.type === RTA_GATEWAY) gateway = attribute.data;
    if (opaqueTypes.has(attribute.type)) kept.push(attribute);
  }
  const onlink = (flags & RTNH_F_ONLINK) !== 0;
  return { ifindex, gateway, weight, onlink, attributes: kept };
}

/** The other flags are the kernel's own: it refuses the word that a link is down. */
function flagsOf({ onlink }: Nexthop): number {
  return onlink ? RTNH_F_ONLINK : 0;
}

function ownAttributes({ gateway, attributes }: Nexthop): Attribute[] {
  return [
    ...(gateway ? [{ type: RTA_GATEWAY, data: gateway }] : []),
    ...attributes,
  ];
}
