/** Networks of addresses. An ordinary pod does not ask. Pure. */
import type { Cidr, Ip } from "./address.ts";

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
