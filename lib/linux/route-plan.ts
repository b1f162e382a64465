/**
 * The default route of a pod (selection.md §8). From the kernel's routes it plans
 * which routes and rules to make and to remove, so that the pod's own connections
 * leave by the owner of the default route, and each other interface answers by
 * itself. Pure.
 */
import type { Family } from "./address.ts";
import {
  type Nexthop,
  RTPROT_BOOT,
  type Route,
  type Rule,
  defaultRoutesOf,
  isHalf,
  routeVia,
  withNexthops,
} from "./route.ts";
import type { Snapshot } from "./rtnetlink.ts";
import { type Departure, departureOf, freeTable } from "./departure.ts";
import {
  type RouteIntent,
  usualMetric,
  usualSafeMetric,
  type RouteOwner,
  requestedRoute,
  requestedOwner,
  presentOwner,
  isAdvertised,
} from "./route-owner.ts";

/** The steps, in this order, and the resulting routes. */
export interface Plan {
  readonly addRoutes: readonly Route[];
  readonly addRules: readonly Rule[];
  readonly removeRoutes: readonly Route[];
  readonly departures: readonly Departure[];
}

export function planDefaultRoutes(
  snapshot: Snapshot,
  intent: RouteIntent,
): Plan {
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

interface Draft {
  readonly snapshot: Snapshot;
  readonly intent: RouteIntent;
  /** The number of each attachment's table, the same for both families. */
  readonly tables: Map<number, number>;
  readonly addRoutes: Route[];
  readonly addRules: Rule[];
  readonly removeRoutes: Route[];
  readonly departures: Departure[];
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
  const defaults = defaultRoutesOf(snapshot.routes).filter(
    (route) => route.family === family,
  );
  const requested = requestedRoute(intent, family);
  const owner = requested
    ? requestedOwner(intent, defaults, requested)
    : presentOwner(intent, defaults);
  if (!owner) return;
  if (requested && !owner.serving) {
    const { gateway, ifindex } = requested;
    const metric =
      family === "6"
        ? (owner.safeMetric ?? usualSafeMetric)
        : usualMetric[family];
    draft.addRoutes.push(routeVia(gateway, ifindex, metric));
  }
  const parts: Part[] = [];
  for (const route of defaults) {
    const own = partsOf(intent, owner, route);
    parts.push(...own);
    replaceInMainTable(draft, owner, route, own);
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

function partsOf(intent: RouteIntent, owner: RouteOwner, route: Route): Part[] {
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
  { attachments }: RouteIntent,
  ifindex: number,
): number | undefined {
  for (const [attachment, own] of attachments.entries())
    if (own.has(ifindex)) return attachment;
  return undefined;
}

function fateOf(
  { move, arrived }: RouteIntent,
  owner: RouteOwner,
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
    return route.metric > (owner.safeMetric ?? Infinity) ? "lower" : "stay";
  if (!move) return attachment === undefined || isOwner ? "drop" : "leave";
  if (attachment === undefined || isAdvertised(route)) return "stay";
  if (isOwner) return owner.isRequested ? "drop" : "stay";
  return route.metric > owner.metric && !isHalf(route) ? "stay" : "leave";
}

/** Plans the main table's routes in place of a default route. */
function replaceInMainTable(
  { intent, addRoutes, removeRoutes }: Draft,
  { safeMetric }: RouteOwner,
  route: Route,
  parts: readonly Part[],
): void {
  // A route that leads nowhere has no parts.
  if (parts.length === 0 && intent.move) return;
  for (const { route: part, fate } of parts)
    if (fate === "lower") addRoutes.push(lowered(part, safeMetric));
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

/** The same route, preferred to router advertisements, and permanent. */
function lowered(route: Route, metric = usualSafeMetric): Route {
  const protocol = isAdvertised(route) ? RTPROT_BOOT : route.protocol;
  return { ...route, protocol, metric };
}
