/**
 * The default route of a pod (selection.md §8). From the kernel's routes it plans
 * which routes and rules to make and to remove, so that the pod's own connections
 * leave by the owner of the default route, and each other interface answers by
 * itself. Pure.
 */
import {
  type Family,
  type Ip,
  cidrContains,
  formatIp,
  isLinkLocal,
} from "./address.ts";
import {
  type Nexthop,
  RT_TABLE_MAIN,
  RTPROT_BOOT,
  RTPROT_RA,
  type Route,
  type Rule,
  addressText,
  isDefault,
  isLinkScope,
  isOver,
  onlyOver,
  routeVia,
  withNexthops,
} from "./route.ts";
import type { Snapshot } from "./rtnetlink.ts";

/** The request; attachments are indexes of the list. */
interface Intent {
  /** The interface indexes of each attachment in the pod. */
  readonly attachments: readonly ReadonlySet<number>[];
  /** The owner of the default route of each family without a request. */
  readonly primary: number;
  readonly request?: DefaultRouteRequest | undefined;
  /**
   * False for `"defaultRoutes": "keep"`: only a request changes routes, and the
   * others are removed.
   */
  readonly move: boolean;
  /**
   * The attachment that a running pod gets: without a request only its own default
   * routes leave the main table, those of the others are in use (agent.md).
   */
  readonly arrived?: number;
}

/** NPWG `default-route`: at most one gateway of each family, over one interface. */
export interface DefaultRouteRequest {
  readonly attachment: number;
  readonly ifindex: number;
  readonly gateways: readonly Ip[];
}

/** The steps, in this order, and the resulting routes. */
export interface Plan {
  readonly addRoutes: readonly Route[];
  readonly addRules: readonly Rule[];
  readonly removeRoutes: readonly Route[];
  readonly departures: readonly Departure[];
}

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
}

export function planDefaultRoutes(snapshot: Snapshot, intent: Intent): Plan {
  const draft: Draft = {
    snapshot,
    intent,
    tables: new Map(),
    addRoutes: [],
    addRules: [],
    removeRoutes: [],
    departures: [],
  };
  for (const family of ["4", "6"] as const) planFamily(draft, family);
  const { addRoutes, addRules, removeRoutes, departures } = draft;
  return { addRoutes, addRules, removeRoutes, departures };
}

/** The kernel's metric of a route without one. */
const usualMetric: Readonly<Record<Family, number>> = { 4: 0, 6: 1024 };

/** Better than the 1024 of a router advertisement, which restores its route after a removal. */
const safeMetric = 512;

interface Draft {
  readonly snapshot: Snapshot;
  readonly intent: Intent;
  /** The number of each attachment's table, the same for both families. */
  readonly tables: Map<number, number>;
  readonly addRoutes: Route[];
  readonly addRules: Rule[];
  readonly removeRoutes: Route[];
  readonly departures: Departure[];
}

interface Owner {
  readonly attachment: number;
  /** The metric of its best default route: routes with this metric or a lower one move. */
  readonly metric: number;
  /** Whether the route is a requested one; then the owner's other default routes go. */
  readonly isRequested: boolean;
  /** The existing route that already does what was requested. */
  readonly serving?: Route | undefined;
  /** Whether another attachment has default routes of router advertisements. */
  readonly isContested: boolean;
}

/** The part of a default route over one attachment's interfaces. */
interface Part {
  readonly route: Route;
  /** undefined: over interfaces of no attachment. */
  readonly attachment: number | undefined;
  readonly fate: Fate;
}

type Fate = "stay" | "leave" | "drop" | "lower";

function planFamily(draft: Draft, family: Family): void {
  const { intent, snapshot } = draft;
  const defaults = snapshot.routes.filter(
    (route) => route.family === family && isDefault(route),
  );
  const owner = ownerOf(draft, family, defaults);
  if (!owner) return;
  const parts: Part[] = [];
  for (const route of defaults) {
    const own = partsOf(intent, owner, route);
    parts.push(...own);
    settle(draft, route, own);
  }
  for (const attachment of intent.attachments.keys()) {
    const own = parts.filter((part) => part.attachment === attachment);
    const leaving = own.filter(({ fate }) => fate === "leave");
    if (leaving.length === 0) continue;
    const { departure, routes, rules } = departureOf(snapshot, {
      attachment,
      routes: leaving.map(({ route }) => route),
      staying: own
        .filter(({ fate }) => fate === "stay")
        .map(({ route }) => route.metric),
      table: tableFor(draft, family, attachment),
      owned: intent.attachments[owner.attachment] ?? new Set(),
    });
    draft.departures.push(departure);
    draft.addRoutes.push(...routes);
    draft.addRules.push(...rules);
  }
}

/** undefined if nothing changes. Plans a requested route that is missing. */
function ownerOf(
  { intent, addRoutes }: Draft,
  family: Family,
  defaults: readonly Route[],
): Owner | undefined {
  const { attachments, primary, request, move } = intent;
  const isContested = (owner: number) =>
    defaults.some(
      (route) =>
        isAdvertised(route) &&
        attachments.some((own, i) => i !== owner && isOver(route, own)),
    );
  const gateway = request?.gateways.find((one) => one.family === family);
  if (request && gateway) {
    const { attachment, ifindex } = request;
    const serving = defaults.find((route) => serves(route, ifindex, gateway));
    if (!serving) {
      const metric = family === "6" ? safeMetric : usualMetric[family];
      addRoutes.push(routeVia(gateway, ifindex, metric));
    }
    return {
      attachment,
      metric: serving?.metric ?? usualMetric[family],
      isRequested: true,
      serving,
      isContested: isContested(attachment),
    };
  }
  const ownBy = (attachment: number) => {
    const own = attachments[attachment];
    return own ? defaults.filter((route) => isOver(route, own)) : [];
  };
  const attachment = [primary, ...attachments.keys()].find(
    (one) => ownBy(one).length > 0,
  );
  if (!move || attachment === undefined) return undefined;
  return {
    attachment,
    metric: Math.min(...ownBy(attachment).map(({ metric }) => metric)),
    isRequested: false,
    isContested: isContested(attachment),
  };
}

function partsOf(intent: Intent, owner: Owner, route: Route): Part[] {
  const groups = new Map<number | undefined, Nexthop[]>();
  for (const hop of route.nexthops) {
    const attachment = attachmentOf(intent, hop.ifindex);
    const group = groups.get(attachment);
    if (group) group.push(hop);
    else groups.set(attachment, [hop]);
  }
  const parts: Part[] = [];
  for (const [attachment, nexthops] of groups) {
    const fate = fateOf(intent, owner, route, attachment);
    const part = groups.size === 1 ? route : withNexthops(route, nexthops);
    parts.push({ attachment, fate, route: part });
  }
  return parts;
}

/** undefined for an interface of no attachment. */
function attachmentOf(
  { attachments }: Intent,
  ifindex: number,
): number | undefined {
  for (const [attachment, own] of attachments.entries())
    if (own.has(ifindex)) return attachment;
  return undefined;
}

function fateOf(
  { move, arrived }: Intent,
  owner: Owner,
  route: Route,
  attachment: number | undefined,
): Fate {
  const isOwner = attachment === owner.attachment;
  const isInUse = arrived !== undefined && attachment !== arrived;
  if (isInUse && !owner.isRequested) return "stay";
  const isBest = owner.isRequested
    ? route === owner.serving
    : isOwner && route.metric === owner.metric;
  if (isBest)
    return owner.isContested && route.metric > safeMetric ? "lower" : "stay";
  if (!move) return attachment === undefined || isOwner ? "drop" : "leave";
  if (attachment === undefined || isAdvertised(route)) return "stay";
  if (isOwner) return owner.isRequested ? "drop" : "stay";
  return route.metric > owner.metric ? "stay" : "leave";
}

/** The main table's routes in place of a default route. */
function settle(
  { intent, addRoutes, removeRoutes }: Draft,
  route: Route,
  parts: readonly Part[],
): void {
  // A route that leads nowhere has no parts.
  if (parts.length === 0 && intent.move) return;
  for (const { route: part, fate } of parts)
    if (fate === "lower") addRoutes.push(lowered(part));
  // The next advertisement would restore the route.
  const staying = parts.filter(
    ({ fate }) => fate === "stay" || (fate === "lower" && isAdvertised(route)),
  );
  if (parts.length > 0 && staying.length === parts.length) return;
  addRoutes.push(...staying.map(({ route: part }) => part));
  removeRoutes.push(route);
}

/** undefined if routes are removed, not moved. */
function tableFor(
  { tables, snapshot, intent }: Draft,
  family: Family,
  attachment: number,
): number | undefined {
  const hasRules = snapshot.rules.some((rule) => rule.family === family);
  if (!intent.move || !hasRules) return undefined;
  const table = tables.get(attachment) ?? freeTable(snapshot, tables.values());
  tables.set(attachment, table);
  return table;
}

/** Whether the route does what the one of {@link routeVia} would do. */
function serves(route: Route, ifindex: number, gateway: Ip): boolean {
  const [hop, ...others] = route.nexthops;
  return (
    others.length === 0 &&
    !isAdvertised(route) &&
    route.tos === 0 &&
    hop?.ifindex === ifindex &&
    hop.gateway !== undefined &&
    addressText(hop.gateway) === formatIp(gateway)
  );
}

/** Learned from a router advertisement: the next one adds it again. */
function isAdvertised({ protocol }: Route): boolean {
  return protocol === RTPROT_RA;
}

/** The same route, preferred to router advertisements, and permanent. */
function lowered(route: Route): Route {
  const protocol = isAdvertised(route) ? RTPROT_BOOT : route.protocol;
  return { ...route, protocol, metric: safeMetric };
}

interface Leaving extends Pick<Departure, "attachment" | "table" | "staying"> {
  /** At least one, all of one family. */
  readonly routes: readonly Route[];
  /** The interfaces of the default route's owner. */
  readonly owned: ReadonlySet<number>;
}

/** The departure, with the routes and rules to make for it. */
function departureOf(
  snapshot: Snapshot,
  { attachment, routes, staying, table, owned }: Leaving,
): { departure: Departure; routes: Route[]; rules: Rule[] } {
  const family = routes[0]?.family ?? "4";
  const ifindexes = new Set<number>();
  const gateways: string[] = [];
  for (const { nexthops } of routes) {
    for (const { ifindex, gateway } of nexthops) {
      ifindexes.add(ifindex);
      if (gateway) gateways.push(addressText(gateway));
    }
  }
  const departure = { attachment, family, gateways, table, staying };
  if (table === undefined)
    return {
      departure: { ...departure, addresses: [] },
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

/**
 * The first number from 1000 on that no route, no rule and none of `others` has. It
 * is also the priority of the rules.
 */
function freeTable(
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
  for (const route of routes) {
    const isOther =
      route.family === family &&
      route.table === RT_TABLE_MAIN &&
      route.protocol !== RTPROT_RA &&
      !isDefault(route) &&
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

/**
 * A gateway in a prefix of the interface, or with a link-scope route over it, such
 * as Calico's 169.254.1.1. Every IPv6 interface reaches link-local addresses.
 */
export function isReachable(
  { addresses, routes }: Snapshot,
  ifindex: number,
  gateway: Ip,
): boolean {
  if (gateway.family === "6" && isLinkLocal(gateway)) return true;
  const interfaces = new Set([ifindex]);
  return (
    addresses.some(
      (address) =>
        address.ifindex === ifindex && cidrContains(address, gateway),
    ) ||
    routes.some(
      (route) =>
        route.table === RT_TABLE_MAIN &&
        route.destination.prefix > 0 &&
        isLinkScope(route) &&
        isOver(route, interfaces) &&
        cidrContains(route.destination, gateway),
    )
  );
}
