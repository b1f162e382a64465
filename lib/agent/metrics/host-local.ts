/**
 * The addresses that host-local can still assign: its ranges without the reserved
 * addresses, which are files in its directory. Defaults as in host-local's `Canonicalize`.
 */
import type { NetworkConfigList } from "../../cni/conflist.ts";
import { own, ownText } from "../../cni/json.ts";
import { type Ip, parseCidr, parseIp } from "../../linux/address.ts";
import { listIfAny } from "../../linux/files.ts";
import type { Place } from "../part.ts";

/** Inclusive. */
interface Range {
  family: Ip["family"];
  first: bigint;
  last: bigint;
  gateway: bigint;
}

/** More are nobody's network: the author of a definition must not keep the agent busy. */
const mostRanges = 256;

interface Reserved {
  family: Ip["family"];
  address: bigint;
}

/**
 * Of the network's first plugin with host-local; an attachment takes one address of each
 * set of ranges, so the set with the fewest counts. undefined without known ranges.
 * Throws SystemError.
 */
export function freeAddresses(
  { name, plugins }: NetworkConfigList,
  place: Place,
): number | undefined {
  const ipam = plugins
    .map((plugin) => own(plugin, "ipam"))
    .find((one) => own(one, "type") === "host-local");
  const sets = rangeSets(ipam);
  if (sets.length === 0) return undefined;
  const dataDir = ownText(ipam, "dataDir") ?? "/var/lib/cni/networks";
  const reserved: Reserved[] = [];
  for (const file of listIfAny(place(`${dataDir}/${name}`))) {
    const ip = parseIp(file);
    if (ip) reserved.push({ family: ip.family, address: numberOf(ip) });
  }
  const free = sets.map((set) => freeOf(set, reserved));
  return free.reduce((least, one) => Math.min(least, one));
}

/** The sets of ranges; empty if one of them is unknown. */
function rangeSets(ipam: unknown): Range[][] {
  const ranges = own(ipam, "ranges");
  const listed: readonly unknown[] = Array.isArray(ranges) ? ranges : [];
  // The notation of host-local before 0.7.
  const older = own(ipam, "subnet") === undefined ? [] : [[ipam]];
  const sets = [...older, ...listed];
  if (sets.flat().length > mostRanges) return [];
  const read = sets.map((set) =>
    Array.isArray(set) ? set.map((range: unknown) => rangeOf(range)) : [],
  );
  const known = read.map((set) => set.filter((range) => range !== undefined));
  return known.some((set, i) => set.length !== read[i]?.length || !set.length)
    ? []
    : known;
}

function rangeOf(range: unknown): Range | undefined {
  const cidr = parseCidr(ownText(range, "subnet") ?? "");
  if (!cidr) return undefined;
  const { ip, prefix } = cidr;
  const hostBits = BigInt(ip.bytes.length * 8 - prefix);
  const network = (numberOf(ip) >> hostBits) << hostBits;
  const all = network + (1n << hostBits) - 1n;
  const at = (key: string): bigint | undefined => {
    const address = parseIp(ownText(range, key) ?? "");
    return address?.family === ip.family ? numberOf(address) : undefined;
  };
  return {
    family: ip.family,
    first: at("rangeStart") ?? network + 1n,
    // The broadcast address, which IPv6 does not have.
    last: at("rangeEnd") ?? (ip.family === "4" ? all - 1n : all),
    gateway: at("gateway") ?? network + 1n,
  };
}

function freeOf(set: readonly Range[], reserved: readonly Reserved[]): number {
  let free = 0n;
  for (const { family, first, last, gateway } of set) {
    const isIn = (address: bigint) => first <= address && address <= last;
    const taken = reserved.filter(
      (one) => one.family === family && isIn(one.address),
    );
    const size = last - first + 1n - (isIn(gateway) ? 1n : 0n);
    free += size - BigInt(taken.length);
  }
  return Math.max(0, Number(free));
}

function numberOf({ bytes }: Ip): bigint {
  return BigInt(`0x${bytes.toHex()}`);
}
