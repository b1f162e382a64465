/**
 * The owner of a pod's default route, for each family (selection.md §8): the attachment
 * that a request names, else the primary. Pure.
 */
import {
  type Family,
  type Ip,
  cidrContains,
  formatIp,
  isLinkLocal,
} from "./address.ts";
import {
  RT_TABLE_MAIN,
  RTPROT_RA,
  type Route,
  addressText,
  isHalf,
  isLinkScope,
  isOver,
} from "./route.ts";
import type { Snapshot } from "./rtnetlink.ts";

/** The request; attachments are indexes of the list. */
export interface RouteIntent {
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

/** The kernel's metric of a route without one. */
export const usualMetric: Readonly<Record<Family, number>> = { 4: 0, 6: 1024 };

export interface RouteOwner {
  readonly attachment: number;
  /** The metric of its best default route: routes with this metric or a lower one move. */
  readonly metric: number;
  /** Whether the route is a requested one; then the owner's other default routes go. */
  readonly isRequested: boolean;
  /** The existing route that already does what was requested. */
  readonly serving?: Route | undefined;
  /** The metric that wins over router advertisements of other attachments; undefined: there are none. */
  readonly safeMetric: number | undefined;
}

/** The default route of a family that an element requests. */
interface RequestedRoute {
  readonly attachment: number;
  readonly ifindex: number;
  readonly gateway: Ip;
}

export function requestedRoute(
  { request }: RouteIntent,
  family: Family,
): RequestedRoute | undefined {
  const gateway = request?.gateways.find((one) => one.family === family);
  if (!request || !gateway) return undefined;
  const { attachment, ifindex } = request;
  return { attachment, ifindex, gateway };
}

export function requestedOwner(
  intent: RouteIntent,
  defaults: readonly Route[],
  { attachment, ifindex, gateway }: RequestedRoute,
): RouteOwner {
  const serving = defaults.find((route) => serves(route, ifindex, gateway));
  return {
    attachment,
    metric: serving?.metric ?? usualMetric[gateway.family],
    isRequested: true,
    serving,
    safeMetric: safeMetric(intent, defaults, attachment),
  };
}

/** The primary, else the first attachment that has a default route; undefined if nothing changes. */
export function presentOwner(
  intent: RouteIntent,
  defaults: readonly Route[],
): RouteOwner | undefined {
  const { attachments, primary, move } = intent;
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
    safeMetric: safeMetric(intent, defaults, attachment),
  };
}

/** Better than the 1024 of a router advertisement, which restores its route after a removal. */
export const usualSafeMetric = 512;

/** Lower where the kernel was told to give the route of an advertisement a low one (`ra_defrtr_metric`). */
function safeMetric(
  { attachments }: RouteIntent,
  defaults: readonly Route[],
  owner: number,
): number | undefined {
  const rivals = defaults.filter(
    (route) =>
      isAdvertised(route) &&
      attachments.some((own, i) => i !== owner && isOver(route, own)),
  );
  if (rivals.length === 0) return undefined;
  const best = Math.min(...rivals.map(({ metric }) => metric));
  return Math.max(1, Math.min(usualSafeMetric, best - 1));
}

/** Whether the route does what the route of `routeVia` would do. */
function serves(route: Route, ifindex: number, gateway: Ip): boolean {
  const [hop, ...others] = route.nexthops;
  return (
    others.length === 0 &&
    !isAdvertised(route) &&
    !isHalf(route) &&
    route.tos === 0 &&
    hop?.ifindex === ifindex &&
    hop.gateway !== undefined &&
    addressText(hop.gateway) === formatIp(gateway)
  );
}

/** Learned from a router advertisement: the next one adds it again. */
export function isAdvertised({ protocol }: Route): boolean {
  return protocol === RTPROT_RA;
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
