/**
 * Removes the rules and tables that ADD made in a pod with several networks
 * (selection.md §8). DEL loads it for a pod that has any.
 */
import { parseIp } from "../linux/address.ts";
import { messageOf } from "../linux/errno.ts";
import { namespaceId } from "../linux/netns.ts";
import type { Context } from "./context.ts";
import type { AttachmentRecord, AttachmentRouting } from "./record.ts";

/**
 * Only while the namespace is the one of that ADD. A failure is logged and does not fail
 * the DEL: rules end with the namespace.
 */
export async function removeRouting(
  { log }: Pick<Context, "log">,
  { netnsId }: Pick<AttachmentRecord, "netnsId">,
  netns: string,
  routing: ReadonlyMap<string, AttachmentRouting>,
): Promise<void> {
  // Another namespace at that path: its tables are not ours.
  if (netnsId === undefined || namespaceId(netns) !== netnsId) return;
  const tables = [...routing.values()].map(({ table, addresses }) => ({
    table,
    addresses: addresses.flatMap((text) => parseIp(text) ?? []),
  }));
  try {
    const { Rtnetlink, removeTables } = await import("../linux/routes.ts");
    using rtnetlink = new Rtnetlink(netns);
    removeTables(rtnetlink, tables);
  } catch (error) {
    log().warn("failed to delete rules", {
      netns,
      error: messageOf(error),
    });
  }
}
