/**
 * Default routes that leave the main table for a table of their own (selection.md §8): its
 * number, its routes and rules, and what results and records say of it. Pure.
 */
import { type Family, type Ip, formatIp, isLinkLocal } from "./address.ts";
import {
  RT_TABLE_MAIN,
  RTPROT_RA,
  type Route,
  type Rule,
  addressText,
  defaultRoutesOf,
  isLinkScope,
  isOver,
  onlyOver,
} from "./route.ts";
import { encodeRoute } from "./route-message.ts";
import type { Snapshot } from "./rtnetlink.ts";

/** The default routes of one attachment and family that leave the main table. */
export interface Departure {
  readonly attachment: number;
  readonly family: Family;
  readonly gateways: readonly string[];
  /** Their table; undefined: they are removed (no policy routing, or `"defaultRoutes": "keep"`). */
  readonly table: number | undefined;
  /** The source addresses of the rules that select the table. */
  readonly addresses: readonly string[];
  /** The metrics of the attachment's default routes that stay in the main table. */
  readonly staying: readonly number[];
  /** The routes themselves, without `table`: nothing else remembers them. */
  readonly removed?: readonly RemovedRoute[];
}

/** A default route that left the main table for none, as in a record. */
export interface RemovedRoute {
  readonly family: Family;
  /** The payload of its RTM_NEWROUTE, hexadecimal. */
  readonly message: string;
}

interface LeavingRoutes extends Pick<
  Departure,
  "attachment" | "table" | "staying"
> {
  /** At least one, all of one family. */
  readonly routes: readonly Route[];
  /** The interfaces of the default route's owner. */
  readonly owned: ReadonlySet<number>;
}

/** The departure, with the routes and rules to make for it. */
export function departureOf(
  snapshot: Snapshot,
  { attachment, routes, staying, table, owned }: LeavingRoutes,
): { departure: Departure; routes: Route[]; rules: Rule[] } {
  const family = routes[0]?.family ?? "4";
  const ifindexes = new Set<number>();
  const gateways = new Set<string>();
  for (const { nexthops } of routes) {
    for (const { ifindex, gateway } of nexthops) {
      ifindexes.add(ifindex);
      if (gateway) gateways.add(addressText(gateway));
    }
  }
  const departure = {
    attachment,
    family,
    gateways: [...gateways],
    table,
    staying,
  };
  if (table === undefined)
    return {
      departure: {
        ...departure,
        addresses: [],
        removed: removedRoutes(routes),
      },
      routes: [],
      rules: [],
    };
  const moved = [...otherRoutes(snapshot, family, ifindexes), ...routes];
  const sources = sourcesOf(snapshot, family, ifindexes, owned);
  return {
    departure: { ...departure, addresses: sources.map(formatIp) },
    routes: linkScopeFirst(moved).map((route) => ({ ...route, table })),
    rules: sources.map((source) => ({ source, table })),
  };
}

/** Without those of a router advertisement, which come again. */
function removedRoutes(routes: readonly Route[]): RemovedRoute[] {
  return routes
    .filter(({ protocol }) => protocol !== RTPROT_RA)
    .map((route) => ({
      family: route.family,
      message: encodeRoute(route).toHex(),
    }));
}

/**
 * The first number from 1000 on that no route, no rule and none of `others` has. It
 * is also the priority of the rules.
 */
export function freeTable(
  { routes, rules }: Snapshot,
  others: Iterable<number>,
): number {
  const taken = new Set(others);
  for (const { table } of [...routes, ...rules]) taken.add(table);
  let number = 1000;
  while (taken.has(number)) number++;
  return number;
}

/**
 * The kernel looks up a gateway when its route is added: a gateway that is itself
 * the destination of a route, such as Calico's 169.254.1.1, would be found over
 * another interface.
 */
function linkScopeFirst(routes: readonly Route[]): Route[] {
  const direct: Route[] = [];
  const indirect: Route[] = [];
  for (const route of routes)
    (isLinkScope(route) ? direct : indirect).push(route);
  return [...direct, ...indirect];
}

/** The main table's routes over interfaces, without default routes and router advertisements. */
function otherRoutes(
  { routes }: Snapshot,
  family: Family,
  ifindexes: ReadonlySet<number>,
): Route[] {
  const others: Route[] = [];
  const defaults = new Set(defaultRoutesOf(routes));
  for (const route of routes) {
    const isOther =
      route.family === family &&
      route.table === RT_TABLE_MAIN &&
      route.protocol !== RTPROT_RA &&
      !defaults.has(route) &&
      isOver(route, ifindexes);
    if (isOther) others.push(onlyOver(route, ifindexes));
  }
  return others;
}

/** `RT_SCOPE_LINK`: addresses of this scope and narrower ones are not global. */
const linkScope = 253;

/** The global addresses of interfaces, without those that the owner has too. */
function sourcesOf(
  { addresses }: Snapshot,
  family: Family,
  ifindexes: ReadonlySet<number>,
  owned: ReadonlySet<number>,
): Ip[] {
  const own = new Set<string>();
  const sources: Ip[] = [];
  for (const { ifindex, ip, scope } of addresses) {
    if (ip.family !== family || scope >= linkScope || isLinkLocal(ip)) continue;
    if (owned.has(ifindex)) own.add(formatIp(ip));
    if (ifindexes.has(ifindex)) sources.push(ip);
  }
  return own.size === 0
    ? sources
    : sources.filter((ip) => !own.has(formatIp(ip)));
}
