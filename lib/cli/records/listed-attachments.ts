/** The attachments of this node, from the records, as commands show them. */
import type { Context } from "../../attach/context.ts";
import { addressesOf } from "../../cni/result-query.ts";
import type { Result } from "../../cni/result.ts";
import { messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import { type Attachment, displayName } from "../../select/attachment.ts";
import { recordDirectory } from "../../state/record-directory.ts";
import {
  type AttachmentRecord,
  type PodReference,
  resultKey,
} from "../../state/record.ts";
import type { Host } from "../node/host.ts";
import {
  type PodTraffic,
  hostInterfaceNames,
  podTraffic,
} from "./pod-traffic.ts";
import { type Sandbox, sandboxOf } from "./sandbox.ts";

export interface ShownAttachment {
  containerId: string;
  pod?: PodReference;
  ifname: string;
  /** The name in the pod's annotation, or the file key. */
  network: string;
  /** The `name` of its configuration. */
  cniName: string;
  /** `<namespace>/<name>` of a definition. */
  definition?: string;
  /** The addresses that ADD assigned, with prefix. */
  ips: string[];
}

/** The attachments of this node; unreadable records become messages. */
export interface OnNode<Shown> {
  attachments: Shown[];
  unreadable: string[];
}

export interface ListedAttachment extends ShownAttachment, Partial<PodTraffic> {
  /** False for an auxiliary chain, which is on the same interface. */
  primary: boolean;
  /** "deleted": its record went (--watch). */
  sandbox: Sandbox | "deleted";
  netns: string;
  time: string;
}

/** Sorted by pod. */
export async function listAttachments(
  { config, dependencies }: Context,
  host: Host,
): Promise<OnNode<ListedAttachment>> {
  const bootId = dependencies.bootId();
  const pods: [key: string, rows: ListedAttachment[]][] = [];
  const unreadable: string[] = [];
  const hostNames = hostInterfaceNames();
  const store = recordDirectory({ config });
  for await (const { name, record, error } of store.all()) {
    if (!record) {
      unreadable.push(`record ${quote(name)}: ${messageOf(error)}`);
      continue;
    }
    const { pod, containerId, ifname } = record;
    const sandbox = sandboxOf(record, bootId, host);
    const { results } = await store.readResults(record);
    const traffic =
      sandbox === "live"
        ? podTraffic(host.path(record.netns), hostNames)
        : undefined;
    const rows = listed(record, results, sandbox).map((row) => ({
      ...row,
      ...traffic?.get(row.ifname),
    }));
    pods.push([
      [pod?.namespace, pod?.name, containerId, ifname].join("\0"),
      rows,
    ]);
  }
  const sorted = pods.toSorted(([a], [b]) => (a < b ? -1 : 1));
  return { attachments: sorted.flatMap(([, rows]) => rows), unreadable };
}

function listed(
  record: AttachmentRecord,
  results: ReadonlyMap<string, Result>,
  sandbox: Sandbox,
): ListedAttachment[] {
  const { netns, time, ifname } = record;
  return record.attachments.map((attachment) => ({
    ...shownAttachment(record, attachment, results),
    primary: resultKey(attachment) === ifname,
    sandbox,
    netns,
    time: attachment.time ?? time,
  }));
}

export function shownAttachment(
  { containerId, pod }: AttachmentRecord,
  attachment: Attachment,
  results: ReadonlyMap<string, Result>,
): ShownAttachment {
  const { definition } = attachment;
  const result = results.get(resultKey(attachment));
  return {
    containerId,
    ...(pod && { pod }),
    ifname: attachment.ifname,
    network: displayName(attachment),
    cniName: attachment.list.name,
    ...(definition !== undefined && { definition }),
    ips: result ? addressesOf(result) : [],
  };
}
