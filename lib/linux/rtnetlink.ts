/**
 * Interfaces, addresses, routes and rules of one network namespace, by rtnetlink:
 * no program of the node is needed. It lists, adds and removes, and decides
 * nothing.
 */
import type { Ip } from "./address.ts";
import { errnoOf, step } from "./errno.ts";
import {
  NetlinkSocket,
  findAttribute,
  openChannel,
  textOf,
  viewOf,
} from "./netlink.ts";
import type { Traffic } from "./traffic.ts";
import {
  type ListedRule,
  type Route,
  type Rule,
  decodeRoutes,
  decodeRule,
  encodeRoute,
  encodeRule,
  familyOf,
} from "./route.ts";

/** An address of an interface. */
export interface Address {
  readonly ifindex: number;
  readonly ip: Ip;
  readonly prefix: number;
  /** `RT_SCOPE_*`: 0 is global, 253 the link. */
  readonly scope: number;
}

/**
 * The routing of a network namespace, both address families at once. Listing throws
 * StepError, changing SystemError. An existing or missing item is no error.
 */
export interface Routing {
  /** The index of each interface by its name. */
  links(): ReadonlyMap<string, number>;
  addresses(): Address[];
  /** The routes of all tables but `local`, in the kernel's order. */
  routes(): Route[];
  /** Empty for a family without policy routing. */
  rules(): ListedRule[];
  /** Adds it after the routes of the same destination and metric. */
  addRoute(route: Route): void;
  removeRoute(route: Route): void;
  addRule(rule: Rule): void;
  removeRule(rule: Rule): void;
}

/**
 * The state of a network namespace, listed once. Addresses and rules are listed at
 * their first use: most pods have no default route to move.
 */
export interface Snapshot {
  readonly addresses: readonly Address[];
  readonly routes: readonly Route[];
  readonly rules: readonly ListedRule[];
}

/** Every list throws StepError. */
export function snapshotOf(routing: Routing): Snapshot {
  let addresses: Address[] | undefined;
  let rules: ListedRule[] | undefined;
  return {
    routes: routing.routes(),
    get addresses() {
      return (addresses ??= routing.addresses());
    },
    get rules() {
      return (rules ??= routing.rules());
    },
  };
}

export interface LinkCounters extends Traffic {
  /** The index of its other end or its parent, in that one's namespace: a veth's, a macvlan's. */
  readonly peer: number | undefined;
}

export class Rtnetlink implements Routing, Disposable {
  readonly #socket: NetlinkSocket;

  /** Throws StepError if the network namespace cannot be entered. */
  constructor(netns: string) {
    this.#socket = new NetlinkSocket(openChannel(netns));
  }

  links(): ReadonlyMap<string, number> {
    const links = new Map<string, number>();
    for (const payload of this.#listLinks()) {
      const name = findAttribute(
        payload.subarray(ifinfomsgLength),
        IFLA_IFNAME,
      );
      // struct ifinfomsg: u8 family, u8 padding, u16 type, i32 index, …
      if (name) links.set(textOf(name), viewOf(payload).getInt32(4, true));
    }
    return links;
  }

  /** The counters of each interface by its name. */
  counters(): ReadonlyMap<string, LinkCounters> {
    const counters = new Map<string, LinkCounters>();
    for (const payload of this.#listLinks()) {
      const rest = payload.subarray(ifinfomsgLength);
      const name = findAttribute(rest, IFLA_IFNAME);
      const stats = findAttribute(rest, IFLA_STATS64);
      if (!name || !stats) continue;
      const link = findAttribute(rest, IFLA_LINK);
      // struct rtnl_link_stats64: u64 packets received, sent, bytes received, sent, …
      const bytes = viewOf(stats);
      counters.set(textOf(name), {
        peer: link && viewOf(link).getInt32(0, true),
        received: Number(bytes.getBigUint64(16, true)),
        sent: Number(bytes.getBigUint64(24, true)),
      });
    }
    return counters;
  }

  #listLinks(): Uint8Array[] {
    return this.#list("interfaces", RTM_GETLINK, ifinfomsgLength);
  }

  addresses(): Address[] {
    const addresses: Address[] = [];
    for (const payload of this.#list(
      "addresses",
      RTM_GETADDR,
      ifaddrmsgLength,
    )) {
      // struct ifaddrmsg: u8 family, u8 prefix, u8 flags, u8 scope, u32 index
      const { 0: number = 0, 1: prefix = 0, 3: scope = 0 } = payload;
      const family = familyOf(number);
      const rest = payload.subarray(ifaddrmsgLength);
      // On a point-to-point link IFA_ADDRESS is the peer.
      const bytes =
        findAttribute(rest, IFA_LOCAL) ?? findAttribute(rest, IFA_ADDRESS);
      if (!family || !bytes) continue;
      const ifindex = viewOf(payload).getUint32(4, true);
      addresses.push({ ifindex, ip: { family, bytes }, prefix, scope });
    }
    return addresses;
  }

  routes(): Route[] {
    const routes: Route[] = [];
    for (const payload of this.#list("routes", RTM_GETROUTE, rtmsgLength))
      routes.push(...decodeRoutes(payload));
    return routes;
  }

  rules(): ListedRule[] {
    const rules: ListedRule[] = [];
    for (const payload of this.#list("rules", RTM_GETRULE, ruleHeaderLength)) {
      const rule = decodeRule(payload);
      if (rule) rules.push(rule);
    }
    return rules;
  }

  addRoute(route: Route): void {
    // Never NLM_F_REPLACE: it would remove another route.
    const flags = NLM_F_CREATE | NLM_F_APPEND;
    this.#order(RTM_NEWROUTE, flags, encodeRoute(route), "EEXIST");
  }

  removeRoute(route: Route): void {
    // The origin of an IPv6 route in a group is unknown, see decodeRoutes.
    const protocol = route.family === "6" ? RTPROT_UNSPEC : route.protocol;
    const payload = encodeRoute({ ...route, protocol });
    this.#order(RTM_DELROUTE, 0, payload, "ESRCH");
  }

  addRule(rule: Rule): void {
    const flags = NLM_F_CREATE | NLM_F_EXCL;
    this.#order(RTM_NEWRULE, flags, encodeRule(rule), "EEXIST");
  }

  removeRule(rule: Rule): void {
    this.#order(RTM_DELRULE, 0, encodeRule(rule), "ENOENT");
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  /** A header of zeros requests everything, of every address family. */
  #list(what: string, type: number, headerLength: number): Uint8Array[] {
    return step(`failed to list ${what}`, () => {
      try {
        return this.#socket.list(type, new Uint8Array(headerLength));
      } catch (error) {
        if (unsupported.has(errnoOf(error) ?? "")) return [];
        throw error;
      }
    });
  }

  /** The kernel's error for a change that is already made is no error. */
  #order(
    type: number,
    flags: number,
    payload: Uint8Array,
    already: string,
  ): void {
    try {
      this.#socket.order(type, flags, payload);
    } catch (error) {
      if (errnoOf(error) !== already) throw error;
    }
  }
}

/** The kernel's error if it was built without policy routing or without an address family. */
const unsupported: ReadonlySet<string> = new Set([
  "EOPNOTSUPP",
  "EAFNOSUPPORT",
]);

const RTM_GETLINK = 18;
const RTM_GETADDR = 22;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTM_GETRULE = 34;
const NLM_F_EXCL = 0x200;
const NLM_F_CREATE = 0x400;
const NLM_F_APPEND = 0x800;
const IFLA_IFNAME = 3;
const IFLA_LINK = 5;
const IFLA_STATS64 = 23;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const RTPROT_UNSPEC = 0;
const ifinfomsgLength = 16;
const ifaddrmsgLength = 8;
const rtmsgLength = 12;
const ruleHeaderLength = 12;
