/**
 * The pod's default route over another interface than the plugins chose
 * (selection.md §6): which results must change so that they tell the truth.
 * Pure; the routes themselves are `netlink`'s matter.
 */
import {
  type Ip,
  cidrContains,
  formatIp,
  parseCidr,
  parseIp,
} from "../cni/address.ts";
import { Code, CniError } from "../cni/error.ts";
import {
  type Result,
  type Route,
  convertResult,
  modernResult,
} from "../cni/result.ts";
import type { Attachment } from "../select/select.ts";
import { isDefaultRoute } from "./asked.ts";

export interface DefaultRoute {
  ifname: string;
  gateways: Ip[];
}

/** The request among the attachments; undefined when there is none. Throws 7 for a gateway that the interface cannot reach. */
export function requestedDefaultRoute(
  attachments: readonly Attachment[],
  results: readonly Result[],
): DefaultRoute | undefined {
  const index = attachments.findIndex(({ asked }) => asked?.defaultRoute);
  const [attachment, result] = [attachments[index], results[index]];
  if (!attachment || !result) return undefined;
  const gateways = (attachment.asked?.defaultRoute ?? []).flatMap(
    (text) => parseIp(text) ?? [],
  );
  const prefixes = modernResult(result).ips.flatMap(
    ({ address }) => parseCidr(address) ?? [],
  );
  for (const gateway of gateways) {
    if (
      isLinkLocal(gateway) ||
      prefixes.some((prefix) => cidrContains(prefix, gateway))
    )
      continue;
    throw new CniError(
      Code.invalidNetworkConfig,
      `"default-route" ${formatIp(gateway)} is outside of the prefixes of interface ${attachment.ifname}`,
    );
  }
  return { ifname: attachment.ifname, gateways };
}

/** Every IPv6 interface has the prefix fe80::/64, which no result lists. */
function isLinkLocal({ family, bytes: [first = 0, second = 0] }: Ip): boolean {
  return family === "6" && first === 0xfe && (second & 0xc0) === 0x80;
}

/** The results after the routes were moved, each in its own version still. */
export function rerouted(
  attachments: readonly Attachment[],
  results: readonly Result[],
  { ifname, gateways }: DefaultRoute,
): Result[] {
  const moved = gateways.map((gateway) => ({
    dst: gateway.family === "4" ? "0.0.0.0/0" : "::/0",
    gw: formatIp(gateway),
  }));
  const families = new Set(gateways.map(({ family }) => family));
  const isGone = (route: Route) => {
    const family = parseCidr(route.dst)?.ip.family;
    return (
      isDefaultRoute(route) && family !== undefined && families.has(family)
    );
  };
  return results.map((result, i) => {
    const modern = modernResult(result);
    const kept = modern.routes.filter((route) => !isGone(route));
    const here = attachments[i]?.ifname === ifname;
    if (!here && kept.length === modern.routes.length) return result;
    const routes = here ? [...kept, ...moved] : kept;
    return convertResult({ ...modern, routes }, result.cniVersion);
  });
}
