/**
 * Deletes attachments: in reverse, all of them, whatever fails (state.md "DEL"). For
 * DEL, left-over records, GC, and `rollback`.
 */
import { Code, CniError } from "../cni/error.ts";
import type { Caller, RuntimeConf } from "../cni/invoke.ts";
import { delNetwork } from "../cni/network.ts";
import type { Result } from "../cni/result.ts";
import type { Deadline } from "../linux/deadline.ts";
import { deletableNetns } from "../linux/netns.ts";
import { plain } from "../linux/text.ts";
import type { Attachment } from "../select/attachment.ts";
import { resultKey } from "../state/record.ts";

/** One attachment that could not be deleted. */
export interface FailedDelete {
  attachment: Attachment;
  error: CniError;
  /** False if no time was left: nothing of it was executed. */
  reached: boolean;
}

export interface DeleteOutcome {
  /**
   * The attachments that could not be deleted, in the order of their next record. A
   * retry goes through it in reverse, so those that were not reached come last, those
   * that were killed before them (state.md "Time": every retry makes progress); within
   * each group they keep their order.
   */
  remaining: Attachment[];
  /** One for each of `remaining`, in the order of the failures. */
  failures: FailedDelete[];
}

/** The minimum for each attachment in milliseconds, while the phase lasts. */
export const leastShareMs = 5000;

/**
 * Each attachment gets the remaining time divided by the attachments left, so that
 * one that hangs leaves time for the others.
 */
export async function deleteAttachments(
  attachments: readonly Attachment[],
  results: ReadonlyMap<string, Result>,
  target: Pick<RuntimeConf, "containerId" | "netns" | "path">,
  deadline: Deadline,
  caller: Caller,
): Promise<DeleteOutcome> {
  const netns = deletableNetns(target.netns);
  const failures: FailedDelete[] = [];
  // Each in the order of the record.
  const failed: Attachment[] = [];
  const killed: Attachment[] = [];
  const notReached: Attachment[] = [];
  let left = attachments.length;
  for (const attachment of attachments.toReversed()) {
    if (deadline.expired) {
      notReached.unshift(attachment);
      failures.push({ attachment, error: noTime(attachment), reached: false });
      continue;
    }
    const { list, ifname, args, capabilityArgs } = attachment;
    const runtime = { ...target, netns, ifname, args, capabilityArgs };
    const share = deadline.share(left--, leastShareMs);
    try {
      await delNetwork(
        list,
        runtime,
        results.get(resultKey(attachment)),
        share,
        caller,
      );
      await removeDeviceInfoOf(attachment);
    } catch (cause) {
      const error = CniError.from(cause);
      const { ProcessKilled } = await import("../cni/plugin-error.ts");
      const wasKilled = error.cause instanceof ProcessKilled;
      (wasKilled ? killed : failed).unshift(attachment);
      failures.push({ attachment, error, reached: true });
    }
  }
  return { remaining: [...failed, ...killed, ...notReached], failures };
}

/** The device information of a deleted attachment, or of one that nobody deletes any more. */
export async function removeDeviceInfoOf({
  capabilityArgs,
}: Pick<Attachment, "capabilityArgs">): Promise<void> {
  if (!Object.hasOwn(capabilityArgs, "CNIDeviceInfoFile")) return;
  const { removeDeviceInfo } = await import("../kubelet/device-info.ts");
  removeDeviceInfo(capabilityArgs);
}

function noTime({ ifname }: Attachment): CniError {
  return new CniError(
    Code.tryAgainLater,
    `failed to delete ${plain(ifname)}: no time left`,
  );
}
