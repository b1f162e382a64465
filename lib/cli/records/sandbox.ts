/**
 * Whether the network namespace of a record exists. Only the container runtime's mount
 * namespace shows it. Elsewhere, such as in a debugging container with the node's
 * root, every living pod seems to be gone (state.md "CHECK, GC, STATUS").
 */
import type { Context } from "../../attach/context.ts";
import { isNamespace, mountNamespace } from "../../linux/netns.ts";
import { recordDirectory } from "../../state/record-directory.ts";
import type { AttachmentRecord } from "../../state/record.ts";
import type { Host } from "../node/host.ts";

/**
 * "gone": the namespace does not exist; "earlier boot": it cannot exist any more;
 * "unknown": not visible from here.
 */
export type Sandbox = "live" | "gone" | "earlier boot" | "unknown";

export function sandboxOf(
  record: Pick<AttachmentRecord, "bootId" | "netns" | "mountNamespace">,
  currentBoot: string,
  host: Host,
): Sandbox {
  const { bootId, netns } = record;
  if (bootId !== currentBoot) return "earlier boot";
  if (netns !== "" && isNamespace(host.path(netns))) return "live";
  return isSeen(record, host) ? "gone" : "unknown";
}

/** Inodes of mount namespaces; undefined if unreadable. */
export interface MountNamespaces {
  own: string | undefined;
  /** The namespace of process 1. */
  first: string | undefined;
}

function mountNamespaces(): MountNamespaces {
  return { own: mountNamespace(), first: mountNamespace("1") };
}

/**
 * The reason why namespaces are not visible here, and how to run `command`
 * elsewhere; undefined if they are visible.
 */
export async function whyUnseen(
  context: Context,
  command: string,
  { own, first } = mountNamespaces(),
): Promise<string | undefined> {
  const recorded = await newestRecorded(context);
  const known = [recorded, first].filter((inode) => inode !== undefined);
  if (known.every((inode) => inode === own)) return undefined;
  const names = [
    `this mount namespace is ${own ?? "unknown"}`,
    ...(recorded ? [`that of the newest attachment ${recorded}`] : []),
    ...(first ? [`that of process 1 ${first}`] : []),
  ];
  const isApart = recorded && first && recorded !== first;
  const advice = isApart
    ? "only the container runtime's GC can tell: the runtime has another mount namespace than process 1"
    : `run it as \`nsenter -t 1 -m -- ${command}\``;
  return `cannot tell which network namespaces are gone: ${names.join(", ")}: ${advice}`;
}

/** The mount namespace of the newest record of this boot that has one. */
async function newestRecorded(context: Context): Promise<string | undefined> {
  const bootId = context.dependencies.bootId();
  let newest: Pick<AttachmentRecord, "uptimeMs" | "mountNamespace"> | undefined;
  for await (const { record } of recordDirectory(context).all()) {
    if (record?.mountNamespace === undefined || record.bootId !== bootId)
      continue;
    const { uptimeMs, mountNamespace: inode } = record;
    if (!newest || uptimeMs >= newest.uptimeMs)
      newest = { uptimeMs, mountNamespace: inode };
  }
  return newest?.mountNamespace;
}

/** Whether a recorded path means the same file here and for the runtime. */
export function isSeen(
  record: Pick<AttachmentRecord, "mountNamespace">,
  host: Host,
  { own, first } = mountNamespaces(),
): boolean {
  return host.isOwnRoot && (record.mountNamespace ?? first ?? own) === own;
}
