/**
 * Which network namespaces are gone can be seen only from the mount namespace of
 * the container runtime: elsewhere every live pod looks as if it were gone, as in
 * a debugging container that changed its root to the node's (state.md "CHECK, GC,
 * STATUS").
 */
import { mountNamespace } from "../linux/netns.ts";
import type { Context } from "../attach/context.ts";
import type { AttachmentRecord } from "../attach/record.ts";
import type { Host } from "./host.ts";

/** Inodes of mount namespaces; undefined where one cannot be read. */
export interface MountNamespaces {
  own: string | undefined;
  /** Of process 1. */
  first: string | undefined;
}

export function mountNamespaces(): MountNamespaces {
  return { own: mountNamespace(), first: mountNamespace("1") };
}

/**
 * Why nobody can tell here what is gone, and how to run `command` where that can be
 * told; undefined where we see what the runtime sees.
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
    ? "only the container runtime's own GC can tell while it does not share that of process 1"
    : `run it as \`nsenter -t 1 -m -- ${command}\``;
  return `cannot tell which network namespaces are gone: ${names.join(", ")}: ${advice}`;
}

/** Of the newest record of this boot that tells it. */
async function newestRecorded({
  records,
  dependencies,
}: Context): Promise<string | undefined> {
  const bootId = dependencies.bootId();
  let newest: Pick<AttachmentRecord, "uptimeMs" | "mountNamespace"> | undefined;
  for await (const { record } of records.all()) {
    if (record?.mountNamespace === undefined || record.bootId !== bootId)
      continue;
    const { uptimeMs, mountNamespace: inode } = record;
    if (!newest || uptimeMs >= newest.uptimeMs)
      newest = { uptimeMs, mountNamespace: inode };
  }
  return newest?.mountNamespace;
}

/** Whether a record's path leads here to what it leads the runtime to. */
export function isSeen(
  record: Pick<AttachmentRecord, "mountNamespace">,
  host: Host,
  { own, first } = mountNamespaces(),
): boolean {
  return host.isOurs && (record.mountNamespace ?? first ?? own) === own;
}
