/**
 * The traffic of a pod's interfaces and their host ends, by rtnetlink in the pod's network
 * namespace. Needs root; undefined where it cannot be seen.
 */
import { namespaceId } from "../linux/netns.ts";
import { type LinkCounters, Rtnetlink } from "../linux/rtnetlink.ts";

export interface PodTraffic {
  /** The host's end of a veth, or the parent of a macvlan. */
  hostInterface?: string;
  /** Bytes since the interface was made, as the pod sees them. */
  bytesIn: number;
  bytesOut: number;
}

const ownNetns = "/proc/self/ns/net";

/** Reads each namespace and the host's interfaces once. */
export class TrafficReader {
  readonly #own = namespaceId(ownNetns);
  #hostNames: ReadonlyMap<number, string> | undefined;
  #last:
    { netns: string; links: ReadonlyMap<string, LinkCounters> } | undefined;

  of(netns: string, ifname: string): PodTraffic | undefined {
    const found = this.#linksOf(netns).get(ifname);
    if (!found) return undefined;
    const { peer, received, sent } = found;
    const hostInterface =
      peer === undefined ? undefined : this.#names().get(peer);
    return {
      ...(hostInterface !== undefined && { hostInterface }),
      bytesIn: received,
      bytesOut: sent,
    };
  }

  #linksOf(netns: string): ReadonlyMap<string, LinkCounters> {
    if (this.#last?.netns !== netns)
      this.#last = { netns, links: this.#read(netns) };
    return this.#last.links;
  }

  #read(netns: string): ReadonlyMap<string, LinkCounters> {
    // Interfaces of the same names there would be the node's.
    if (namespaceId(netns) === this.#own) return new Map();
    try {
      using rtnetlink = new Rtnetlink(netns);
      return rtnetlink.counters();
    } catch {
      return new Map();
    }
  }

  #names(): ReadonlyMap<number, string> {
    if (this.#hostNames) return this.#hostNames;
    const names = new Map<number, string>();
    try {
      using rtnetlink = new Rtnetlink(ownNetns);
      for (const [name, index] of rtnetlink.links()) names.set(index, name);
    } catch {
      // Without the right to enter it.
    }
    return (this.#hostNames = names);
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
