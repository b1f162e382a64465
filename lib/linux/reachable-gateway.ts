/**
 * Whether a gateway can be one of an interface (selection.md §6, `default-route`). Pure.
 */
import { type Ip, cidrContains, isLinkLocal } from "./address.ts";
import { RT_TABLE_MAIN, isLinkScope, isOver } from "./route.ts";
import type { Snapshot } from "./route-snapshot.ts";

/**
 * In a prefix of the interface, or with a link-scope route over it, as Calico's
 * 169.254.1.1; every IPv6 interface reaches link-local addresses.
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
