/**
 * Deletes attachments: in reverse, all of them, whatever fails (state.md "DEL").
 * DEL, rollback, left-over records and GC all come here.
 */
import type { Deadline } from "../cni/deadline.ts";
import { CniError } from "../cni/error.ts";
import type { Caller } from "../cni/invoke.ts";
import { type RuntimeConf, delNetwork } from "../cni/network.ts";
import type { Result } from "../cni/result.ts";
import type { Attachment } from "../select/select.ts";
import { removeDeviceInfo } from "./deviceinfo.ts";
import { deletableNetns } from "./netns.ts";

/** What is the same for all attachments of a container. */
export type Target = Pick<RuntimeConf, "containerId" | "netns" | "path">;

export interface Outcome {
  /** What could not be deleted, in its former order. */
  remaining: Attachment[];
  /** One for each of `remaining`, in the order in which they happened. */
  errors: { attachment: Attachment; error: CniError }[];
}

/** Each attachment gets what remains divided by the attachments left, so that one that hangs starves no other. */
export async function deleteAttachments(
  attachments: readonly Attachment[],
  results: ReadonlyMap<string, Result>,
  target: Target,
  deadline: Deadline,
  caller: Caller,
): Promise<Outcome> {
  const netns = deletableNetns(target.netns);
  const errors: Outcome["errors"] = [];
  for (const [i, attachment] of attachments.toReversed().entries()) {
    const { list, ifname, args, capabilityArgs } = attachment;
    const runtime = { ...target, netns, ifname, args, capabilityArgs };
    const share = deadline.share(attachments.length - i);
    try {
      await delNetwork(list, runtime, results.get(ifname), share, caller);
      removeDeviceInfo(attachment);
    } catch (error) {
      errors.push({ attachment, error: CniError.from(error) });
    }
  }
  // They failed in reverse.
  const remaining: Attachment[] = [];
  for (const { attachment } of errors.toReversed()) remaining.push(attachment);
  return { remaining, errors };
}
