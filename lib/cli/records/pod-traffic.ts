/**
 * The traffic of a pod's interfaces and their host ends, by rtnetlink in the pod's network
 * namespace. Needs root; undefined where it cannot be seen.
 */
import { closeSync, openSync } from "node:fs";
import { namespaceId } from "../../linux/netns.ts";
import { type LinkCounters, Rtnetlink } from "../../linux/rtnetlink.ts";

export interface PodTraffic {
  /** The host's end of a veth, or the parent of a macvlan. */
  hostInterface?: string;
  /** Bytes since the interface was made, as the pod sees them. */
  bytesIn: number;
  bytesOut: number;
}

const ownNetns = "/proc/self/ns/net";

/** The traffic of each interface of a pod; `hostNames` is the result of {@link hostInterfaceNames}. */
export function podTraffic(
  netns: string,
  hostNames: ReadonlyMap<number, string>,
): ReadonlyMap<string, PodTraffic> {
  // Interfaces of the same names there would be the node's.
  if (namespaceId(netns) === namespaceId(ownNetns)) return new Map();
  const [links, ours] = inNamespace(netns, (rtnetlink) => [
    rtnetlink.counters(),
    numberOfOurs(rtnetlink),
  ]) ?? [new Map<string, LinkCounters>()];
  return new Map(
    [...links].map(([ifname, { peer, peerNamespace, received, sent }]) => {
      // In another namespace, the index is that of another interface.
      const hostInterface =
        peer === undefined || ours === undefined || peerNamespace !== ours
          ? undefined
          : hostNames.get(peer);
      return [
        ifname,
        {
          ...(hostInterface !== undefined && { hostInterface }),
          bytesIn: received,
          bytesOut: sent,
        },
      ];
    }),
  );
}

function numberOfOurs(rtnetlink: Rtnetlink): number | undefined {
  const fd = openSync(ownNetns, "r");
  try {
    return rtnetlink.numberOf(fd);
  } finally {
    closeSync(fd);
  }
}

/** Names by index. */
export function hostInterfaceNames(): ReadonlyMap<number, string> {
  const links = inNamespace(ownNetns, (rtnetlink) => rtnetlink.links());
  return new Map([...(links ?? [])].map(([name, index]) => [index, name]));
}

/** undefined without the right to enter it. */
function inNamespace<T>(
  netns: string,
  read: (rtnetlink: Rtnetlink) => T,
): T | undefined {
  try {
    using rtnetlink = new Rtnetlink(netns);
    return read(rtnetlink);
  } catch {
    return undefined;
  }
}

/** `0`, `999`, `1.5Ki`, `12Mi`: binary, as kubectl writes memory. */
export function bytesText(bytes: number | undefined): string {
  if (bytes === undefined) return "-";
  let value = bytes;
  let unit = "";
  for (const next of ["Ki", "Mi", "Gi", "Ti"]) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${value < 10 && unit !== "" ? value.toFixed(1) : Math.floor(value)}${unit}`;
}
