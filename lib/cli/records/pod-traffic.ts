/**
 * The traffic of a pod's interfaces and their host ends, by rtnetlink in the pod's network
 * namespace. Needs root; undefined where it cannot be seen.
 */
import { namespaceId } from "../../linux/netns.ts";
import { Rtnetlink } from "../../linux/rtnetlink.ts";

export interface PodTraffic {
  /** The host's end of a veth, or the parent of a macvlan. */
  hostInterface?: string;
  /** Bytes since the interface was made, as the pod sees them. */
  bytesIn: number;
  bytesOut: number;
}

const ownNetns = "/proc/self/ns/net";

/** The traffic of each interface of a pod; `hostNames` is the result of {@link hostInterfaces}. */
export function podTraffic(
  netns: string,
  hostNames: ReadonlyMap<number, string>,
): ReadonlyMap<string, PodTraffic> {
  // Interfaces of the same names there would be the node's.
  if (namespaceId(netns) === namespaceId(ownNetns)) return new Map();
  const links = inNamespace(netns, (rtnetlink) => rtnetlink.counters());
  return new Map(
    [...links].map(([ifname, { peer, received, sent }]) => {
      const hostInterface =
        peer === undefined ? undefined : hostNames.get(peer);
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

/** Names by index. */
export function hostInterfaces(): ReadonlyMap<number, string> {
  const links = inNamespace(ownNetns, (rtnetlink) => rtnetlink.links());
  return new Map([...links].map(([name, index]) => [index, name]));
}

/** Nothing without the right to enter it. */
function inNamespace<T>(
  netns: string,
  read: (rtnetlink: Rtnetlink) => ReadonlyMap<string, T>,
): ReadonlyMap<string, T> {
  try {
    using rtnetlink = new Rtnetlink(netns);
    return read(rtnetlink);
  } catch {
    return new Map();
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
