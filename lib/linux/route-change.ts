/**
 * Changes the routing of a pod: applies a plan, removes the tables of a plan, takes
 * default routes aside for a plugin and restores them. It decides nothing.
 */
import { type Family, formatCidr, formatIp, parseIp } from "./address.ts";
import { step } from "./errno.ts";
import type { RemovedRoute } from "./departure.ts";
import type { Plan } from "./route-plan.ts";
import {
  RT_TABLE_MAIN,
  RTPROT_RA,
  type Route,
  type Rule,
  addressText,
  describeRoute,
  defaultRoutesOf,
  isLinkScope,
  isOver,
} from "./route.ts";
import { decodeRoutes } from "./route-message.ts";
import type { Routing } from "./rtnetlink.ts";

/** A table that was made for one attachment, and the sources of its rules, as in a record. */
export interface PolicyTable {
  readonly table: number;
  readonly addresses: readonly string[];
  /** Default routes that were removed in place of moved. */
  readonly removed?: readonly RemovedRoute[] | undefined;
}

/**
 * Adds everything before it removes anything: an unreachable gateway fails first,
 * and the pod always has a default route. Throws StepError that names the step.
 */
export function applyPlan(routing: Routing, plan: Plan): void {
  for (const route of plan.addRoutes) addRoute(routing, route);
  for (const rule of plan.addRules) {
    step(
      () => `failed to add rule ${describeRule(rule)}`,
      () => routing.addRule(rule),
    );
  }
  for (const route of plan.removeRoutes) removeRoute(routing, route);
}

/**
 * The main table as it was before {@link applyPlan}, also if that failed midway: a
 * running pod goes on. Throws StepError.
 */
export function revertPlan(routing: Routing, plan: Plan): void {
  putBack(routing, plan.removeRoutes);
  const removed = new Set(plan.removeRoutes.map(describe));
  for (const route of plan.addRoutes)
    if (route.table === RT_TABLE_MAIN && !removed.has(describe(route)))
      removeRoute(routing, route);
  // The kernel takes one nexthop for the multipath route that has it.
  putBack(routing, plan.removeRoutes);
}

function describe(route: Route): string {
  return `${describeRoute(route, new Map())} ${route.metric}`;
}

/** Removes tables with their rules; missing ones are no error. Throws StepError. */
export function removeTables(
  routing: Routing,
  tables: readonly PolicyTable[],
): void {
  for (const { table, addresses } of tables) {
    for (const address of addresses) removeRule(routing, address, table);
  }
  const numbers = new Set(tables.map(({ table }) => table));
  for (const route of routing.routes()) {
    if (numbers.has(route.table)) removeRoute(routing, route);
  }
}

/**
 * Moves the default routes of a family from a table back into the main table, and
 * removes the rest of that family there with its rules; makes those anew that were
 * removed. Returns them: none if there are none. Throws StepError.
 */
export function returnDefaultRoutes(
  routing: Routing,
  { table, addresses, removed = [] }: PolicyTable,
  family: Family,
): Route[] {
  const again = removed
    .filter((route) => route.family === family)
    .flatMap(({ message }) => decodeRoutes(Uint8Array.fromHex(message)));
  for (const route of again) addRoute(routing, route);
  if (again.length > 0) return again;
  const own = routing
    .routes()
    .filter((route) => route.table === table && route.family === family);
  const defaults = defaultRoutesOf(own, table);
  if (defaults.length === 0) return [];
  const returned = defaults.map((route) => ({
    ...route,
    table: RT_TABLE_MAIN,
  }));
  for (const route of returned) addRoute(routing, route);
  for (const address of addresses)
    if (parseIp(address)?.family === family)
      removeRule(routing, address, table);
  for (const route of own) removeRoute(routing, route);
  return returned;
}

export function hasDefaultRoute(
  routes: readonly Route[],
  family: Family,
): boolean {
  return defaultRoutesOf(routes).some((route) => route.family === family);
}

/**
 * The default routes over these interfaces, after the link-scope routes to their
 * gateways: the kernel looks up a gateway when its route is added.
 */
export function exitRoutesOver(
  routes: readonly Route[],
  ifindexes: ReadonlySet<number>,
): Route[] {
  const main = routes.filter(
    (route) => route.table === RT_TABLE_MAIN && isOver(route, ifindexes),
  );
  const defaults = defaultRoutesOf(main);
  const gateways = new Set(
    defaults.flatMap(({ nexthops }) =>
      nexthops.flatMap(({ gateway }) => (gateway ? addressText(gateway) : [])),
    ),
  );
  const toGateways = main.filter(
    (route) =>
      isLinkScope(route) &&
      isHost(route) &&
      gateways.has(formatIp(route.destination.ip)),
  );
  return [...toGateways, ...defaults];
}

/**
 * Removes the {@link exitRoutesOver} over these interfaces; returns the input of {@link
 * putBack}. Throws StepError.
 */
export function takeOut(
  routing: Routing,
  ifindexes: ReadonlySet<number>,
): Route[] {
  const routes = exitRoutesOver(routing.routes(), ifindexes);
  for (const route of routes.toReversed()) removeRoute(routing, route);
  return routes;
}

/**
 * Restores those routes that are gone because another plugin replaced them, and
 * returns them. A route with another metric, or as a part of a multipath route,
 * still exists; a router advertises its route again. Throws StepError.
 */
export function restore(routing: Routing, routes: readonly Route[]): Route[] {
  const present = routing.routes();
  const texts = new Set(present.flatMap(nexthopTexts));
  const isThere = (route: Route) =>
    nexthopTexts(route).every((text) => texts.has(text)) &&
    (route.nexthops.length === 1 ||
      present.some((other) => hasAllNexthops(other, route)));
  const gone = routes.filter(
    (route) => route.protocol !== RTPROT_RA && !isThere(route),
  );
  putBack(routing, gone);
  return gone;
}

/** A text for each nexthop: a running pod may have made many routes, which are not compared in pairs. */
function nexthopTexts({
  table,
  tos,
  source,
  destination,
  nexthops,
}: Route): string[] {
  const to = `${table} ${tos} ${source} ${formatCidr(destination)}`;
  return nexthops.map(
    ({ ifindex, gateway }) => `${to} ${ifindex} ${gateway?.toHex()}`,
  );
}

/** Whether `other` has all nexthops of `route` to the same destination. */
function hasAllNexthops(other: Route, route: Route): boolean {
  const texts = nexthopTexts(other);
  return nexthopTexts(route).every((text) => texts.includes(text));
}

/** Without the routes of missing interfaces. Throws StepError. */
export function putBack(routing: Routing, routes: readonly Route[]): void {
  const present = new Set(routing.links().values());
  for (const route of routes)
    if (isOver(route, present)) addRoute(routing, route);
}

function isHost({ destination: { ip, prefix } }: Route): boolean {
  return prefix === ip.bytes.byteLength * 8;
}

function removeRule(routing: Routing, address: string, table: number): void {
  const source = parseIp(address);
  if (!source) return;
  const rule = { source, table };
  step(
    () => `failed to delete rule ${describeRule(rule)}`,
    () => routing.removeRule(rule),
  );
}

function addRoute(routing: Routing, route: Route): void {
  step(
    () => `failed to add route ${textOf(routing, route)}`,
    () => routing.addRoute(route),
  );
}

function removeRoute(routing: Routing, route: Route): void {
  step(
    () => `failed to delete route ${textOf(routing, route)}`,
    () => routing.removeRoute(route),
  );
}

function textOf(routing: Routing, route: Route): string {
  const links = routing.links();
  const names = new Map([...links].map(([name, ifindex]) => [ifindex, name]));
  return `"${describeRoute(route, names)}"`;
}

function describeRule({ source, table }: Rule): string {
  return `"from ${formatIp(source)} lookup ${table}"`;
}
