/**
 * The results of a pod's networks after its default routes moved (selection.md §6,
 * §8): they contain the final routes. Pure; `linux/routes` moves the routes.
 */
import { type Ip, formatIp, parseCidr } from "../linux/address.ts";
import type { Departure } from "../linux/routes.ts";
import { defaultRoutes } from "./result-query.ts";
import {
  type Result,
  type Route,
  convertResult,
  modernResult,
} from "./result.ts";
import { latestVersion } from "./version.ts";

/** A request for the pod's default route. */
export interface RequestedDefaultRoute {
  /** The index of the attachment with the request. */
  attachment: number;
  ifname: string;
  gateways: readonly Ip[];
}

/** The changes of all default routes of a pod. */
export interface Rerouting {
  departures: readonly Departure[];
  request?: RequestedDefaultRoute | undefined;
}

/**
 * The results with the moved routes, each in its own version for the record, or in
 * `version` for the runtime. A route in another table is included if the version
 * has tables (CNI 1.1.0).
 */
export function reroutedResults(
  results: readonly Result[],
  rerouting: Rerouting,
  version?: string,
): Result[] {
  return results.map((result, place) => {
    // A request may be of a version with tables when a delegate's is not.
    const given = version === latestVersion ? modernResult(result) : result;
    const tellsTables = (version ?? result.cniVersion) === latestVersion;
    return reroutedResult(given, place, rerouting, tellsTables);
  });
}

function reroutedResult(
  result: Result,
  place: number,
  { departures, request }: Rerouting,
  tellsTables: boolean,
): Result {
  const left = departures.filter(({ attachment }) => attachment === place);
  const gateways = request?.attachment === place ? request.gateways : undefined;
  if (left.length === 0 && !gateways) return result;
  const modern = modernResult(result);
  const defaults = new Set(defaultRoutes(modern));
  const routes = [
    ...modern.routes.flatMap((route) =>
      defaults.has(route)
        ? (routeAfter(route, left, gateways, tellsTables) ?? [])
        : route,
    ),
    ...(gateways ?? []).map(defaultRouteVia),
  ];
  return convertResult({ ...modern, routes }, result.cniVersion);
}

/** The default route after the move: itself, in another table, or none. */
function routeAfter(
  route: Route,
  departures: readonly Departure[],
  gateways: readonly Ip[] = [],
  tellsTables: boolean,
): Route | undefined {
  const { ip: { family } = {}, prefix } = parseCidr(route.dst) ?? {};
  // The requested one replaces it.
  if (gateways.some((gateway) => gateway.family === family)) return undefined;
  for (const { family: departed, staying, table } of departures) {
    if (departed !== family) continue;
    // Results do not have the default metric; a route with it moves first. Halves all move.
    const { priority } = route;
    if (prefix === 0 && priority !== undefined && staying.includes(priority))
      return route;
    return table !== undefined && tellsTables ? { ...route, table } : undefined;
  }
  return route;
}

function defaultRouteVia(gateway: Ip): Route {
  const dst = gateway.family === "4" ? "0.0.0.0/0" : "::/0";
  return { dst, gw: formatIp(gateway) };
}
