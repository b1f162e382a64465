/**
 * One result from several, as CNI-Genie printed it (selection.md §7, `"result":
 * "merged"`). Pure.
 */
import {
  type Dns,
  type ModernResult,
  type Result,
  modernResult,
} from "./result.ts";
import { gatewayOf } from "./result-query.ts";

/** The primary first, then the others in order. */
export function mergeResults(
  results: readonly Result[],
  primary: number,
): Result | undefined {
  const first = results[primary];
  if (!first) return undefined;
  const others = results.filter((_, i) => i !== primary);
  return [first, ...others].map(modernResult).map(withGateways).reduce(append);
}

function append(merged: ModernResult, next: ModernResult): ModernResult {
  const shift = merged.interfaces.length;
  const interfaces = [...merged.interfaces, ...next.interfaces];
  const shifted = next.ips.map((ip) =>
    ip.interface === undefined
      ? ip
      : { ...ip, interface: ip.interface + shift },
  );
  return {
    ...merged,
    interfaces,
    ips: [...merged.ips, ...shifted],
    routes: [...merged.routes, ...next.routes],
    dns: mergeDns(merged.dns, next.dns),
  };
}

/**
 * A route without a gateway gets the first gateway of its family in its own result;
 * it is never dropped.
 */
function withGateways(result: ModernResult): ModernResult {
  const routes = result.routes.map((route) => {
    const gw = gatewayOf(route, result);
    return gw ? { ...route, gw } : route;
  });
  return { ...result, routes };
}

function mergeDns(first: Dns, second: Dns): Dns {
  const merged: Dns = { ...first };
  for (const key of ["nameservers", "search", "options"] as const) {
    const values = new Set([...(first[key] ?? []), ...(second[key] ?? [])]);
    if (values.size > 0) merged[key] = [...values];
  }
  return merged;
}
