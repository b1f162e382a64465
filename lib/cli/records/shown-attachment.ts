/** An attachment of a record, as commands show it. */
import { addressesOf } from "../../cni/result-query.ts";
import type { Result } from "../../cni/result.ts";
import { type Attachment, displayName } from "../../select/attachment.ts";
import {
  type AttachmentRecord,
  type PodReference,
  resultKey,
} from "../../state/record.ts";

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
