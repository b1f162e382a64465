/**
 * ADD, what a pod asks of a network beyond its name: addresses, a device, the
 * default route (selection.md §6). Few pods do, so ADD loads this when it meets one.
 */
import { Code, CniError } from "../cni/error.ts";
import type { Result } from "../cni/result.ts";
import { type Attachment, displayName } from "../select/select.ts";
import { unmet } from "./asked.ts";
import { withDeviceInfoFile } from "./deviceinfo.ts";
import { type Operation, ofNetwork } from "./operation.ts";

export { prepareDeviceInfo } from "./deviceinfo.ts";

export function withDeviceInfoFiles(
  containerId: string,
  attachments: readonly Attachment[],
): Attachment[] {
  const all: Attachment[] = [];
  for (const attachment of attachments)
    all.push(withDeviceInfoFile(containerId, attachment));
  return all;
}

/** A request that was not met is an error where the node is strict, else a warning. */
export function requireAsked(
  { config, log }: Operation,
  attachment: Attachment,
  result: Result,
): void {
  const problems = unmet(attachment, result);
  if (problems.length === 0) return;
  const message = problems.join(", ");
  if (config.strict) throw new CniError(Code.invalidNetworkConfig, message);
  log.warn(message, {
    network: displayName(attachment),
    ifname: attachment.ifname,
  });
}

/** Moves the pod's default route over the network that asks for it; the results as they are then. */
export async function routed(
  { request, pod }: Operation,
  attachments: readonly Attachment[],
  results: Result[],
): Promise<Result[]> {
  let network: string | undefined;
  for (const attachment of attachments)
    if (attachment.asked?.defaultRoute) network ??= displayName(attachment);
  if (network === undefined) return results;
  try {
    const { requestedDefaultRoute, rerouted } =
      await import("./defaultroute.ts");
    const route = requestedDefaultRoute(attachments, results);
    if (!route) return results;
    const { moveDefaultRoutes } = await import("../netlink/defaultroute.ts");
    await moveDefaultRoutes(request.netns, route.ifname, route.gateways);
    return rerouted(attachments, results, route);
  } catch (error) {
    throw ofNetwork(CniError.from(error), pod, network);
  }
}
