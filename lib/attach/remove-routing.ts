/**
 * DEL, what ADD made in a pod for several networks (selection.md §8): rules, and the
 * tables that they look up. Loaded for a pod that has any.
 */
import { parseIp } from "../cni/address.ts";
import { messageOf } from "../cni/error.ts";
import { namespaceId } from "./netns.ts";
import type { Operation } from "./operation.ts";
import type { AttachmentRecord, AttachmentRouting } from "./record.ts";

/**
 * Removes it while the namespace is still the one of that ADD. A failure is logged and
 * fails nothing: the rules end with the namespace.
 */
export async function removeRouting(
  { log }: Pick<Operation, "log">,
  { netnsId }: Pick<AttachmentRecord, "netnsId">,
  netns: string,
  routing: ReadonlyMap<string, AttachmentRouting>,
): Promise<void> {
  // In another namespace of that path the table is somebody else's.
  if (netnsId === undefined || namespaceId(netns) !== netnsId) return;
  const tables = [...routing.values()].map(({ table, addresses }) => ({
    table,
    addresses: addresses.flatMap((text) => parseIp(text) ?? []),
  }));
  try {
    const { Rtnetlink, removeTables } = await import("../netlink/pod.ts");
    using rtnetlink = new Rtnetlink(netns);
    removeTables(rtnetlink, tables);
  } catch (error) {
    log.warn("failed to delete rules", {
      netns,
      error: messageOf(error),
    });
  }
}
