/**
 * The pod's default route over another interface than the plugins chose (selection.md
 * §6, §8): what was requested, and how results change so that they tell the truth.
 * Pure; the routes themselves are `netlink`'s matter.
 */
import { type Ip, formatIp, parseCidr, parseIp } from "../linux/address.ts";
import {
  type Result,
  type Route,
  convertResult,
  modernResult,
} from "../cni/result.ts";
import { latestVersion } from "../cni/version.ts";
import type { Departure } from "../linux/routes.ts";
import type { Attachment } from "../select/attachment.ts";
import { isDefaultRoute } from "../cni/result-query.ts";
import type { AttachmentRouting } from "./record.ts";

export interface RequestedDefaultRoute {
  /** The place of the attachment that asks. */
  attachment: number;
  ifname: string;
  gateways: readonly Ip[];
}

/** The request among the attachments: at most one has it. */
export function requestedDefaultRoute(
  attachments: readonly Attachment[],
): RequestedDefaultRoute | undefined {
  for (const [attachment, { extras, ifname }] of attachments.entries()) {
    if (!extras?.defaultRoute) continue;
    const gateways = extras.defaultRoute.flatMap((text) => parseIp(text) ?? []);
    return { attachment, ifname, gateways };
  }
  return undefined;
}

/** What has become of the default routes of all attachments. */
export interface Rerouting {
  departures: readonly Departure[];
  request?: RequestedDefaultRoute | undefined;
}

/**
 * The results after that, each in its own version still. A route in a table of its
 * own is told where the version has a word for it (CNI 1.1.0), else it is left out.
 */
export function rerouted(
  results: readonly Result[],
  rerouting: Rerouting,
): Result[] {
  const after: Result[] = [];
  for (const [place, result] of results.entries())
    after.push(afterwards(result, place, rerouting, isLatest(result)));
  return after;
}

/**
 * What is printed of these results in the version of a request, which may know
 * tables where a delegate's does not, and the other way round.
 */
export function printable(
  results: readonly Result[],
  rerouting: Rerouting,
  version: string,
): Result[] {
  const tellsTables = version === latestVersion;
  const after: Result[] = [];
  for (const [place, result] of results.entries()) {
    const given = tellsTables ? modernResult(result) : result;
    after.push(afterwards(given, place, rerouting, tellsTables));
  }
  return after;
}

/** Whether the version of a result has a word for a route's table. */
function isLatest({ cniVersion }: Result): boolean {
  return cniVersion === latestVersion;
}

function afterwards(
  result: Result,
  place: number,
  { departures, request }: Rerouting,
  tellsTables: boolean,
): Result {
  const left: Departure[] = [];
  for (const one of departures) if (one.attachment === place) left.push(one);
  const asked = request?.attachment === place ? request : undefined;
  if (left.length === 0 && !asked) return result;
  const modern = modernResult(result);
  const routes: Route[] = [];
  for (const route of modern.routes) {
    const changed = routeAfter(route, left, asked, tellsTables);
    if (changed) routes.push(changed);
  }
  for (const gateway of asked?.gateways ?? [])
    routes.push(defaultRouteVia(gateway));
  return convertResult({ ...modern, routes }, result.cniVersion);
}

/** What was made, by interface name, for the result file. */
export function tablesOf(
  attachments: readonly Attachment[],
  departures: readonly Departure[],
): ReadonlyMap<string, AttachmentRouting> {
  const tables = new Map<string, AttachmentRouting>();
  for (const { attachment, table, addresses } of departures) {
    const ifname = attachments[attachment]?.ifname;
    if (table === undefined || ifname === undefined) continue;
    const others = tables.get(ifname)?.addresses ?? [];
    const texts = [...others, ...addresses.map(formatIp)];
    tables.set(ifname, { table, addresses: texts });
  }
  return tables;
}

/** The fields of the log's line, in the words of `ip route`. */
export function describeRerouting(
  attachments: readonly Attachment[],
  { departures, request }: Rerouting,
): Readonly<Record<string, string[]>> {
  const lines = (wanted: boolean) =>
    departures
      .filter(({ table }) => (table !== undefined) === wanted)
      .map(({ attachment, gateways, table }) => {
        const via = gateways.map((gateway) => `via ${gateway} `).join("");
        const place = table === undefined ? "" : ` table ${table}`;
        return `default ${via}dev ${attachments[attachment]?.ifname}${place}`;
      });
  const [moved, removed] = [lines(true), lines(false)];
  const requested = request?.gateways.map(
    (gateway) => `default via ${formatIp(gateway)} dev ${request.ifname}`,
  );
  return {
    ...(requested && { requested }),
    ...(moved.length > 0 && { moved }),
    ...(removed.length > 0 && { removed }),
  };
}

/** The route as it is now: itself, in another table, or none. */
function routeAfter(
  route: Route,
  departures: readonly Departure[],
  request: RequestedDefaultRoute | undefined,
  tellsTables: boolean,
): Route | undefined {
  const family = parseCidr(route.dst)?.ip.family;
  if (!family || !isDefaultRoute(route)) return route;
  // The requested one is told instead.
  for (const gateway of request?.gateways ?? [])
    if (gateway.family === family) return undefined;
  for (const { family: departed, staying, table } of departures) {
    if (departed !== family) continue;
    // The usual metric, of which results say nothing, is the first to lose.
    if (route.priority !== undefined && staying.includes(route.priority))
      return route;
    return table !== undefined && tellsTables ? { ...route, table } : undefined;
  }
  return route;
}

function defaultRouteVia(gateway: Ip): Route {
  const dst = gateway.family === "4" ? "0.0.0.0/0" : "::/0";
  return { dst, gw: formatIp(gateway) };
}
