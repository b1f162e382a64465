/**
 * What ADD looks at in every pod with several networks: its interfaces, and the routes
 * of its main table that may lead out, as the kernel sends them. Most pods need no more
 * of rtnetlink; `routes`, which decodes and changes routes, is loaded for the others.
 */
import { errnoOf, step } from "./errno.ts";
import { type IsWanted, findAttribute, textOf, viewOf } from "./netlink.ts";
import { NetlinkSocket, openChannel } from "./netlink-socket.ts";

/** One network namespace. Every list throws StepError. */
export class PodNetwork implements Disposable {
  protected readonly socket: NetlinkSocket;

  /** Throws StepError if the network namespace cannot be entered. */
  constructor(netns: string) {
    this.socket = new NetlinkSocket(openChannel(netns));
  }

  /** The index of each interface by its name. */
  links(): ReadonlyMap<string, number> {
    const links = new Map<string, number>();
    for (const payload of this.listLinks()) {
      const name = findAttribute(
        payload.subarray(ifinfomsgLength),
        IFLA_IFNAME,
      );
      // struct ifinfomsg: u8 family, u8 padding, u16 type, i32 index, …
      if (name) links.set(textOf(name), viewOf(payload).getInt32(4, true));
    }
    return links;
  }

  /**
   * The default routes of the main table, those to half of all addresses, and those to
   * single addresses, of which some are gateways: payloads of RTM_NEWROUTE.
   */
  exitRoutes(): Uint8Array[] {
    return this.list("routes", RTM_GETROUTE, rtmsgLength, isExitRoute);
  }

  [Symbol.dispose](): void {
    this.socket[Symbol.dispose]();
  }

  protected listLinks(): Uint8Array[] {
    return this.list("interfaces", RTM_GETLINK, ifinfomsgLength);
  }

  /** A header of zeros requests everything, of every address family. */
  protected list(
    what: string,
    type: number,
    headerLength: number,
    isWanted?: IsWanted,
  ): Uint8Array[] {
    return step(`failed to list ${what}`, () => {
      try {
        return this.socket.list(type, new Uint8Array(headerLength), isWanted);
      } catch (error) {
        if (isUnsupported(error)) return [];
        throw error;
      }
    });
  }
}

/** Whether the kernel was built without policy routing or without an address family. */
function isUnsupported(error: unknown): boolean {
  const code = errnoOf(error);
  return code === "EOPNOTSUPP" || code === "EAFNOSUPPORT";
}

/**
 * Whether several default routes of a family, or one over several interfaces, contest each
 * other; of {@link PodNetwork.exitRoutes}.
 */
export function isContested(exitRoutes: readonly Uint8Array[]): boolean {
  let [v4, v6] = [0, 0];
  for (const route of exitRoutes) {
    const { 0: family, 1: prefix = 0 } = route;
    if (prefix > 1) continue;
    if (family === AF_INET) v4++;
    else v6++;
    if (findAttribute(route.subarray(rtmsgLength), RTA_MULTIPATH)) return true;
  }
  return v4 > 1 || v6 > 1;
}

/** Whether `routes` has each of `earlier`. */
export function hasAll(
  routes: readonly Uint8Array[],
  earlier: readonly Uint8Array[],
): boolean {
  if (earlier.length === 0) return true;
  const present: string[] = [];
  for (const route of routes) present.push(route.toHex());
  // A running pod may have made many. Making a Set costs every pod with two networks.
  const all = present.length > 100 ? new Set(present) : undefined;
  for (const route of earlier) {
    const text = route.toHex();
    if (!(all ? all.has(text) : present.includes(text))) return false;
  }
  return true;
}

/**
 * struct rtmsg: u8 family, destination's prefix, source's prefix, tos, table, protocol,
 * scope, type; u32 flags.
 */
function isExitRoute(datagram: Uint8Array, at: number): boolean {
  if (datagram[at + 4] !== RT_TABLE_MAIN) return false;
  const { [at + 1]: prefix = 0 } = datagram;
  return prefix <= 1 || prefix === (datagram[at] === AF_INET ? 32 : 128);
}

const RTM_GETLINK = 18;
export const RTM_GETROUTE = 26;
export const IFLA_IFNAME = 3;
const RTA_MULTIPATH = 9;
const RT_TABLE_MAIN = 254;
const AF_INET = 2;
export const ifinfomsgLength = 16;
export const rtmsgLength = 12;
