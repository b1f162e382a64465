/** The record of an ADD before its delegates are executed (state.md "The record"). */
import { mountNamespace, namespaceId } from "../linux/netns.ts";
import type { Attachment } from "../select/attachment.ts";
import { type AttachmentRecord, withoutExtras } from "../state/record.ts";
import { formatVersion } from "../state/record-text.ts";
import type { Context } from "./context.ts";
import type { PresentAttachments } from "./rollback.ts";

export function newRecord(
  { request, dependencies, pod, path }: Context,
  attachments: readonly Attachment[],
  auxiliary?: Attachment,
): AttachmentRecord {
  const { containerId, ifname, netns, config } = request;
  const executed: Attachment[] = [];
  for (const attachment of attachments)
    executed.push(withoutExtras(attachment));
  return {
    formatVersion,
    containerId,
    ifname,
    netns,
    netnsId: namespaceId(netns),
    mountNamespace: mountNamespace(),
    network: config.name,
    pod,
    time: dependencies.now().toISOString(),
    bootId: dependencies.bootId(),
    // One more than whole milliseconds: the record must not seem older to GC than it is.
    uptimeMs: dependencies.uptimeMs() + 1,
    path: [...path],
    attachments: executed,
    ...(auxiliary && { auxiliary }),
  };
}

/** The record of a running pod with more attachments. */
export function withAttachments(
  { record, results }: PresentAttachments,
  attachments: readonly Attachment[],
): AttachmentRecord {
  const added = attachments.slice(results.length).map(withoutExtras);
  return { ...record, attachments: [...record.attachments, ...added] };
}
