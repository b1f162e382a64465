/**
 * Interfaces, addresses, routes and rules of one network namespace, by rtnetlink:
 * no program of the node is needed. It lists, adds and removes, and decides
 * nothing.
 */
import type { Ip } from "./address.ts";
import { SystemError, errnoOf } from "./errno.ts";
import {
  encodeAttributes,
  findAttribute,
  textOf,
  u32,
  viewOf,
} from "./netlink.ts";
import {
  IFLA_IFNAME,
  PodNetwork,
  RTM_GETROUTE,
  ifinfomsgLength,
  rtmsgLength,
} from "./pod-network.ts";
import type { Traffic } from "./traffic.ts";
import {
  type ListedRule,
  type Route,
  type Rule,
  describeRoute,
} from "./route.ts";
import {
  decodeRoutes,
  decodeRule,
  encodeRoute,
  encodeRouteQuery,
  encodeRule,
  familyOf,
} from "./route-message.ts";

/** An address of an interface. */
export interface Address {
  readonly ifindex: number;
  readonly ip: Ip;
  readonly prefix: number;
  /** `RT_SCOPE_*`: 0 is global, 253 the link. */
  readonly scope: number;
}

/** What plans and changes of routes use, so that a test can refuse an order. */
export type Routing = Pick<
  Rtnetlink,
  | "links"
  | "addresses"
  | "routes"
  | "rules"
  | "addRoute"
  | "removeRoute"
  | "addRule"
  | "removeRule"
>;

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
  /** That namespace as by {@link Rtnetlink.numberOf}; undefined: the interface's own. */
  readonly peerNamespace: number | undefined;
}

/**
 * The routing of a network namespace, both address families at once. Listing throws
 * StepError, changing SystemError. An existing or missing item is no error.
 */
export class Rtnetlink extends PodNetwork {
  /** The counters of each interface by its name. */
  counters(): ReadonlyMap<string, LinkCounters> {
    const counters = new Map<string, LinkCounters>();
    for (const payload of this.listLinks()) {
      const rest = payload.subarray(ifinfomsgLength);
      const name = findAttribute(rest, IFLA_IFNAME);
      const stats = findAttribute(rest, IFLA_STATS64);
      if (!name || !stats) continue;
      const link = findAttribute(rest, IFLA_LINK);
      const namespace = findAttribute(rest, IFLA_LINK_NETNSID);
      // struct rtnl_link_stats64: u64 packets received, sent, bytes received, sent, …
      const bytes = viewOf(stats);
      counters.set(textOf(name), {
        peer: link && viewOf(link).getInt32(0, true),
        peerNamespace: namespace && viewOf(namespace).getInt32(0, true),
        received: Number(bytes.getBigUint64(16, true)),
        sent: Number(bytes.getBigUint64(24, true)),
      });
    }
    return counters;
  }

  /**
   * The number that this namespace has for the namespace of an open file; undefined if no
   * interface leads there.
   */
  numberOf(fd: number): number | undefined {
    const which = encodeAttributes([{ type: NETNSA_FD, data: u32(fd) }]);
    const response = this.socket.order(
      RTM_GETNSID,
      0,
      // struct rtgenmsg: u8 family, padded
      Uint8Array.of(0, 0, 0, 0, ...which),
    );
    const id = response && findAttribute(response.subarray(4), NETNSA_NSID);
    const number = id ? viewOf(id).getInt32(0, true) : NETNSA_NSID_NOT_ASSIGNED;
    return number === NETNSA_NSID_NOT_ASSIGNED ? undefined : number;
  }

  addresses(): Address[] {
    const addresses: Address[] = [];
    for (const payload of this.list(
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

  /** The routes of all tables but `local`, in the kernel's order. */
  routes(): Route[] {
    const routes: Route[] = [];
    for (const payload of this.list("routes", RTM_GETROUTE, rtmsgLength)) {
      const [first, ...others] = decodeRoutes(payload);
      if (!first) continue;
      routes.push(first);
      for (const other of others) routes.push(this.#whole(other));
    }
    return routes;
  }

  /** A listed IPv6 route of a group with its own attributes: the listing has those of the first one. */
  #whole(listed: Route): Route {
    try {
      const query = encodeRouteQuery(listed);
      const response = this.socket.order(RTM_GETROUTE, 0, query);
      const [route] = response ? decodeRoutes(response) : [];
      const isSame =
        route &&
        describeRoute(route, noNames) === describeRoute(listed, noNames) &&
        route.metric === listed.metric;
      return isSame ? route : listed;
    } catch (error) {
      if (error instanceof SystemError) return listed;
      throw error;
    }
  }

  /** Empty for a family without policy routing. */
  rules(): ListedRule[] {
    const rules: ListedRule[] = [];
    for (const payload of this.list("rules", RTM_GETRULE, ruleHeaderLength)) {
      const rule = decodeRule(payload);
      if (rule) rules.push(rule);
    }
    return rules;
  }

  /** Adds it after the routes of the same destination and metric. */
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

  /** The kernel's error for a change that is already made is no error. */
  #order(
    type: number,
    flags: number,
    payload: Uint8Array,
    already: string,
  ): void {
    try {
      this.socket.order(type, flags, payload);
    } catch (error) {
      if (errnoOf(error) !== already) throw error;
    }
  }
}

const noNames = new Map<number, string>();

const RTM_GETADDR = 22;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTM_GETRULE = 34;
const NLM_F_EXCL = 0x200;
const NLM_F_CREATE = 0x400;
const NLM_F_APPEND = 0x800;
const IFLA_LINK = 5;
const IFLA_STATS64 = 23;
const IFLA_LINK_NETNSID = 37;
const RTM_GETNSID = 90;
const NETNSA_NSID = 1;
const NETNSA_FD = 3;
const NETNSA_NSID_NOT_ASSIGNED = -1;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const RTPROT_UNSPEC = 0;
const ifaddrmsgLength = 8;
const ruleHeaderLength = 12;
