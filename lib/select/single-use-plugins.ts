/**
 * Plugins that serve a container once: what they keep is named by the container
 * or the pod and not by the interface, so a second attachment destroys or leaks
 * the first one (selection.md §8). Pure.
 */
import { executedTypes } from "../cni/executable-types.ts";
import { Code, CniError } from "../cni/error.ts";
import { quote } from "../linux/text.ts";
import { type Attachment, displayName } from "./attachment.ts";

/** Plugin type → why a container can have it only once. */
export const servesOnce: Readonly<Record<string, string>> = {
  calico:
    "it names the interface of the host after the pod, so its second ADD removes the pod's first interface",
  flannel:
    "it keeps one file per container, so its second DEL finds nothing and an address leaks",
};

/** Throws 7 naming both networks and the reason; types of `allowRepeated` may come twice. */
export function requireServedOnce(
  attachments: readonly Attachment[],
  allowRepeated: readonly string[],
): void {
  const served = new Map<string, Attachment>();
  for (const attachment of attachments) {
    for (const type of typesOf(attachment)) {
      const reason = Object.hasOwn(servesOnce, type) && servesOnce[type];
      if (!reason || allowRepeated.includes(type)) continue;
      const earlier = served.get(type);
      if (earlier) throw repeated(type, reason, earlier, attachment);
      served.set(type, attachment);
    }
  }
}

/** Each once; what is executed for addresses does not attach. */
function typesOf({ list }: Attachment): ReadonlySet<string> {
  const types = new Set<string>();
  for (const { type, isIpam } of executedTypes(list.plugins))
    if (!isIpam) types.add(type);
  return types;
}

function repeated(
  type: string,
  reason: string,
  earlier: Attachment,
  later: Attachment,
): CniError {
  return new CniError(
    Code.invalidNetworkConfig,
    `networks ${named(earlier)} and ${named(later)} both use plugin ${quote(type)}, which serves a container once: ${reason}`,
  );
}

function named(attachment: Attachment): string {
  return `${quote(displayName(attachment))} (${attachment.ifname})`;
}
