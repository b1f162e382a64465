/**
 * The default routes of a running pod whose owner is detached (agent.md "Hot attach and
 * detach", selection.md §8): the next network that had to move its own into a table gets
 * them back. A failure is a warning and does not stop the detach.
 */
import { podInterfaces } from "../../cni/result-query.ts";
import { type Result, convertResult, modernResult } from "../../cni/result.ts";
import {
  type Family,
  formatCidr,
  parseCidr,
  parseIp,
} from "../../linux/address.ts";
import { messageOf } from "../../linux/errno.ts";
import { isNamespace } from "../../linux/netns.ts";
import {
  type Route,
  Rtnetlink,
  addressText,
  hasDefaultRoute,
  returnDefaultRoutes,
  exitRoutesOver,
} from "../../linux/routes.ts";
import type { Attachment } from "../../select/attachment.ts";
import type { AttachmentRouting } from "../../state/record.ts";
import type { RunningPod } from "./running-pod.ts";

/**
 * The families whose default route in the main table is over this attachment, or was
 * requested for it: an earlier DEL that failed may have removed its interface.
 */
export function ownedDefaultRoutes(
  { context, stored }: RunningPod,
  { ifname, extras }: Attachment,
  netns: string,
): ReadonlySet<Family> {
  const result = stored.results.get(ifname);
  // A virtual machine has no network namespace here.
  if (!result || !isNamespace(netns)) return new Set();
  try {
    using rtnetlink = new Rtnetlink(netns);
    const links = rtnetlink.links();
    const names = podInterfaces(modernResult(result), ifname);
    const own = new Set(names.flatMap((name) => links.get(name) ?? []));
    const routes = exitRoutesOver(rtnetlink.routes(), own);
    const requested = extras?.defaultRoute ?? [];
    return new Set([
      ...routes.map(({ family }) => family),
      ...requested.flatMap((gateway) => parseIp(gateway)?.family ?? []),
    ]);
  } catch (error) {
    context.log().warn("failed to read the pod's default routes", {
      error: messageOf(error),
    });
    return new Set();
  }
}

/** Called for a family when the attachment is gone. Changes `results` and `routing`. */
export function passOnDefaultRoutes(
  { context, record }: RunningPod,
  family: Family,
  netns: string,
  results: Map<string, Result>,
  routing: Map<string, AttachmentRouting>,
): void {
  const names = record.attachments.map(({ ifname }) => ifname);
  try {
    using rtnetlink = new Rtnetlink(netns);
    for (const ifname of [record.ifname, ...names]) {
      const [own, result] = [routing.get(ifname), results.get(ifname)];
      if (!own || !result) continue;
      const returned = returnDefaultRoutes(rtnetlink, own, family);
      if (returned.length === 0) continue;
      results.set(ifname, withMainRoutes(result, own.table, family, returned));
      const rest = withoutFamily(own, family);
      if (rest) routing.set(ifname, rest);
      else routing.delete(ifname);
      break;
    }
    if (!hasDefaultRoute(rtnetlink.routes(), family))
      context.log().warn("the pod has no default route any more", {
        family: `IPv${family}`,
      });
  } catch (error) {
    context.log().warn("failed to give another network the default route", {
      family: `IPv${family}`,
      error: messageOf(error),
    });
  }
}

/** undefined if nothing is left. */
function withoutFamily(
  { table, addresses, removed = [] }: AttachmentRouting,
  family: Family,
): AttachmentRouting | undefined {
  const rest = {
    addresses: addresses.filter((text) => parseIp(text)?.family !== family),
    removed: removed.filter((route) => route.family !== family),
  };
  if (rest.addresses.length + rest.removed.length === 0) return undefined;
  return {
    table,
    addresses: rest.addresses,
    ...(rest.removed.length > 0 && { removed: rest.removed }),
  };
}

/** The result after its default routes of a family left their table, which most versions cannot tell. */
function withMainRoutes(
  result: Result,
  table: number,
  family: Family,
  returned: readonly Route[],
): Result {
  const modern = modernResult(result);
  const isMoved = (dst: string, own: number | undefined) =>
    own === table && parseCidr(dst)?.ip.family === family;
  const told = modern.routes.flatMap(({ table: own, ...route }) =>
    isMoved(route.dst, own) ? route : [],
  );
  const untold = returned.map(({ destination, nexthops }) => {
    const [gateway] = nexthops.flatMap((hop) => hop.gateway ?? []);
    return {
      dst: formatCidr(destination),
      ...(gateway && { gw: addressText(gateway) }),
    };
  });
  const others = modern.routes.filter(
    (route) => !isMoved(route.dst, route.table),
  );
  return convertResult(
    { ...modern, routes: [...others, ...(told.length > 0 ? told : untold)] },
    result.cniVersion,
  );
}
