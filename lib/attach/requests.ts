/**
 * ADD, what a pod asks of a network beyond its name: addresses, a device (selection.md
 * §6). Few pods do, so ADD loads this when it meets one.
 */
import { Code, CniError } from "../cni/error.ts";
import type { Result } from "../cni/result.ts";
import { type Attachment, displayName } from "../select/select.ts";
import { unmetRequests } from "../cni/result-query.ts";
import { withDeviceInfoFile } from "./device-info.ts";
import type { Context } from "./context.ts";

export { prepareDeviceInfo } from "./device-info.ts";

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
  { config, log }: Context,
  attachment: Attachment,
  result: Result,
): void {
  const { asked, ifname } = attachment;
  if (!asked?.ips && !asked?.mac) return;
  const problems = unmetRequests(asked, ifname, result);
  if (problems.length === 0) return;
  const message = problems.join(", ");
  if (config.strict) throw new CniError(Code.invalidNetworkConfig, message);
  log().warn(message, {
    network: displayName(attachment),
    ifname,
  });
}
