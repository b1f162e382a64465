/**
 * IP addresses, prefixes and hardware addresses, read and printed as by Go's net
 * package (C-8): canonical text, host bits kept, a v4-mapped IPv6 address is IPv4.
 * Zones and leading zeros in IPv4 are refused, because programs read them
 * differently. Pure.
 */

import { wholeNumber } from "./text.ts";

export type Family = "4" | "6";

export interface Ip {
  readonly family: Family;
  /** 4 or 16 bytes. */
  readonly bytes: Uint8Array;
}

/** An address with its prefix length; the host bits are kept. */
export interface Cidr {
  readonly ip: Ip;
  readonly prefix: number;
}

/** An address; undefined for a text that net.ParseIP refuses. */
export function parseIp(text: string): Ip | undefined {
  const bytes = text.includes(":") ? parseV6(text) : parseV4(text);
  return bytes && ipOf(bytes);
}

/** `address/prefix`; undefined for a text that net.ParseCIDR refuses. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const address = text.slice(0, slash);
  const bytes = address.includes(":") ? parseV6(address) : parseV4(address);
  const length = wholeNumber(text.slice(slash + 1));
  if (!bytes || length === undefined || length > bytes.length * 8)
    return undefined;
  const ip = ipOf(bytes);
  // For a v4-mapped address Go keeps the last 32 bits of the mask.
  const hidden = (bytes.length - ip.bytes.length) * 8;
  return { ip, prefix: length > hidden ? length - hidden : 0 };
}

/** The canonical text (RFC 5952 for IPv6). */
export function formatIp(ip: Ip): string {
  return ip.family === "4" ? ip.bytes.join(".") : formatV6(ip.bytes);
}

export function formatCidr(cidr: Cidr): string {
  return `${formatIp(cidr.ip)}/${cidr.prefix}`;
}

/** Routes to both halves of all addresses do what a default route does, and win over it. */
export const otherHalf: Readonly<Record<string, string>> = {
  "0.0.0.0/1": "128.0.0.0/1",
  "128.0.0.0/1": "0.0.0.0/1",
  "::/1": "8000::/1",
  "8000::/1": "::/1",
};

/** Whether the address is in the network of the prefix; false for another family. */
export function cidrContains(cidr: Cidr, ip: Ip): boolean {
  if (cidr.ip.family !== ip.family) return false;
  return cidr.ip.bytes.every((byte, i) => {
    const mask = maskByte(cidr.prefix, i);
    return (byte & mask) === ((ip.bytes[i] ?? 0) & mask);
  });
}

/** The network of an address with a prefix: no host bits. */
export function networkOf({ ip, prefix }: Cidr): Cidr {
  const bytes = ip.bytes.map((byte, i) => byte & maskByte(prefix, i));
  return { ip: { ...ip, bytes }, prefix };
}

function maskByte(prefix: number, i: number): number {
  const left = prefix - i * 8;
  const bits = left > 8 ? 8 : left > 0 ? left : 0;
  return (0xff00 >> bits) & 0xff;
}

/** fe80::/10 and 169.254.0.0/16: valid on one link only. */
export function isLinkLocal(ip: Ip): boolean {
  const { 0: first = 0, 1: second = 0 } = ip.bytes;
  return ip.family === "4"
    ? first === 169 && second === 254
    : first === 0xfe && (second & 0xc0) === 0x80;
}

/** `4` or `6`, the `version` of a 0.3 and 0.4 result (C-5). */
export function family(address: Ip | Cidr): Family {
  return "ip" in address ? address.ip.family : address.family;
}

/**
 * The bytes of a 6, 8 or 20 byte hardware address in the three notations of
 * net.ParseMAC (`:`, `-`, dotted groups of four), or undefined.
 */
export function parseMac(text: string): Uint8Array | undefined {
  const notation = macNotations().find(({ pattern }) => pattern.test(text));
  if (!notation) return undefined;
  const bytes = Uint8Array.fromHex(text.replaceAll(notation.separator, ""));
  return [6, 8, 20].includes(bytes.length) ? bytes : undefined;
}

const macNotations = () => [
  { separator: ":", pattern: /^[0-9a-f]{2}(?::[0-9a-f]{2})+$/i },
  { separator: "-", pattern: /^[0-9a-f]{2}(?:-[0-9a-f]{2})+$/i },
  { separator: ".", pattern: /^[0-9a-f]{4}(?:\.[0-9a-f]{4})+$/i },
];

function ipOf(bytes: Uint8Array): Ip {
  return bytes.length === 4 || isMapped(bytes)
    ? { family: "4", bytes: bytes.slice(-4) }
    : { family: "6", bytes };
}

/** In ::ffff:0:0/96. */
function isMapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 12; i++) {
    if (bytes[i] !== (i < 10 ? 0 : 0xff)) return false;
  }
  return true;
}

function parseV4(text: string): Uint8Array | undefined {
  const octets = text.split(".");
  if (octets.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  let at = 0;
  for (const octet of octets) {
    const byte = Number(octet);
    // Refuses blanks, signs, leading zeros and other notations: their text
    // differs.
    if (!(byte >= 0 && byte <= 255) || String(byte) !== octet) return undefined;
    bytes[at++] = byte;
  }
  return bytes;
}

function parseV6(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half) =>
    half === "" ? [] : half.split(":"),
  );
  const last = (tail ?? head)?.at(-1);
  if (!head || (last === undefined && !tail)) return undefined;
  const groups = [...head, ...(tail ?? [])];
  const v4 = last?.includes(".") ? parseV4(last) : undefined;
  if (v4) groups.pop();
  const space = 8 - (v4 ? 2 : 0) - groups.length;
  // `::` stands for at least one group (as in net/netip).
  if (tail ? space < 1 : space !== 0) return undefined;
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group)))
    return undefined;
  const zeros = tail ? Array.from({ length: space }, () => "0") : [];
  const hex = groups
    .toSpliced(head.length, 0, ...zeros)
    .map((group) => group.padStart(4, "0"));
  return Uint8Array.of(...Uint8Array.fromHex(hex.join("")), ...(v4 ?? []));
}

function formatV6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
  );
  const { start, length } = longestZeros(groups);
  if (length < 2) return groups.join(":");
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + length).join(":")}`;
}

/** The first of the longest runs of zero groups. */
function longestZeros(groups: readonly string[]): {
  start: number;
  length: number;
} {
  let longest = { start: 0, length: 0 };
  let run = 0;
  for (const [i, group] of groups.entries()) {
    run = group === "0" ? run + 1 : 0;
    if (run > longest.length) longest = { start: i - run + 1, length: run };
  }
  return longest;
}
