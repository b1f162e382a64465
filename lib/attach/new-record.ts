/**
 * The record of what is about to be executed (state.md "The record").
 */
import { ceilMs } from "../linux/deadline.ts";
import type { Attachment } from "../select/select.ts";
import { mountNamespace, namespaceId } from "../linux/netns.ts";
import type { Context } from "./context.ts";
import { type AttachmentRecord, formatVersion } from "./record.ts";

/** What a record says of the node. */
export type Place = Pick<
  AttachmentRecord,
  "netnsId" | "mountNamespace" | "bootId"
>;

export function placeOf({ request, dependencies }: Context): Place {
  return {
    netnsId: namespaceId(request.netns),
    mountNamespace: mountNamespace(),
    bootId: dependencies.bootId(),
  };
}

export function newRecord(
  { request, dependencies, pod, path }: Context,
  attachments: Attachment[],
  place: Place,
): AttachmentRecord {
  const recorded: Attachment[] = [];
  for (const { asked: _asked, ...attachment } of attachments) {
    recorded.push(attachment);
  }
  return {
    formatVersion,
    containerId: request.containerId,
    ifname: request.ifname,
    netns: request.netns,
    netnsId: place.netnsId,
    mountNamespace: place.mountNamespace,
    network: request.config.name,
    pod,
    time: dependencies.now().toISOString(),
    bootId: place.bootId,
    // Whole, and never before the true time: GC asks what was written after it began.
    uptimeMs: ceilMs(dependencies.uptimeMs()),
    path: [...path],
    // What was asked for has been held against the results by the time that it could matter.
    attachments: recorded,
  };
}
