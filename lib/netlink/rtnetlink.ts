/**
 * Interfaces and default routes of one network namespace, by rtnetlink: no
 * program of the node is needed. It lists, adds and removes; what becomes of
 * the pod is decided elsewhere.
 */
import type { Family } from "../cni/address.ts";
import { decodeAttributes, textOf, viewOf } from "./message.ts";
import {
  addressFamily,
  decodeRoutes,
  encodeRoute,
  type Route,
  RT_TABLE_MAIN,
} from "./route.ts";
import { NetlinkSocket, openChannel } from "./socket.ts";

/** Where a route goes among those of the same metric: IPv4 uses the first. */
export type Place = "first" | "last";

/** The routing of a network namespace. Every function throws SystemError. */
export interface Routing {
  /** The names of the interfaces by index. */
  links(): ReadonlyMap<number, string>;
  /** The default routes of the main table, in the kernel's order. */
  defaultRoutes(family: Family): Route[];
  /** EEXIST when there is exactly this one. */
  add(route: Route, place: Place): void;
  /** ESRCH when there is none. */
  remove(route: Route): void;
}

export class Rtnetlink implements Routing, Disposable {
  readonly #socket: NetlinkSocket;

  /** Throws CniError when the network namespace cannot be entered. */
  constructor(netns: string) {
    this.#socket = new NetlinkSocket(openChannel(netns));
  }

  links(): ReadonlyMap<number, string> {
    // struct ifinfomsg, all zero: every interface
    const listed = this.#socket.list(
      RTM_GETLINK,
      new Uint8Array(ifinfomsgLength),
    );
    return new Map(listed.map(linkOf));
  }

  defaultRoutes(family: Family): Route[] {
    // struct rtmsg, all zero but the family: every route
    const request = new Uint8Array(rtmsgLength);
    request[0] = addressFamily[family];
    return this.#socket
      .list(RTM_GETROUTE, request)
      .flatMap(decodeRoutes)
      .filter(
        (route) =>
          route.family === family &&
          route.destination === 0 &&
          route.table === RT_TABLE_MAIN,
      );
  }

  add(route: Route, place: Place): void {
    // Never NLM_F_REPLACE: it removes what a failure could not put back.
    const flags =
      place === "first" ? NLM_F_CREATE : NLM_F_CREATE | NLM_F_APPEND;
    this.#socket.order(RTM_NEWROUTE, flags, encodeRoute(route));
  }

  remove(route: Route): void {
    this.#socket.order(RTM_DELROUTE, 0, encodeRoute(route));
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

const RTM_GETLINK = 18;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const NLM_F_CREATE = 0x400;
const NLM_F_APPEND = 0x800;
const IFLA_IFNAME = 3;
const ifinfomsgLength = 16;
const rtmsgLength = 12;

function linkOf(payload: Uint8Array): [ifindex: number, name: string] {
  const name = decodeAttributes(payload.subarray(ifinfomsgLength)).find(
    ({ type }) => type === IFLA_IFNAME,
  );
  // struct ifinfomsg: u8 family, u8 padding, u16 type, i32 index, …
  return [viewOf(payload).getInt32(4, true), name ? textOf(name.data) : ""];
}
