/**
 * Deletes attachments: in reverse, all of them, whatever fails (state.md "DEL").
 * DEL, rollback, left-over records and GC all come here.
 */
import type { Deadline } from "../linux/deadline.ts";
import { Code, CniError } from "../cni/error.ts";
import { ProcessKilled } from "../linux/exec.ts";
import type { Caller } from "../cni/invoke.ts";
import { type RuntimeConf, delNetwork } from "../cni/network.ts";
import type { Result } from "../cni/result.ts";
import type { Attachment } from "../select/select.ts";
import { removeDeviceInfo } from "./device-info.ts";
import { deletableNetns } from "../linux/netns.ts";

/** What is the same for all attachments of a container. */
export type Target = Pick<RuntimeConf, "containerId" | "netns" | "path">;

/** One attachment that could not be deleted. */
export interface Failure {
  attachment: Attachment;
  error: CniError;
  /** False where no time was left for it: nothing of it was executed. */
  reached: boolean;
}

export interface Outcome {
  /**
   * What could not be deleted, as a record is to have it. A retry goes through it in
   * reverse, so what was not reached comes last, what was killed before it (state.md
   * "Time": every retry makes progress); among themselves they keep their order.
   */
  remaining: Attachment[];
  /** One for each of `remaining`, in the order in which they happened. */
  failures: Failure[];
}

/** Each attachment gets so much at least, in milliseconds, while the phase lasts. */
export const leastShareMs = 5000;

/** Each attachment gets what remains divided by the attachments left, so that one that hangs starves no other. */
export async function deleteAttachments(
  attachments: readonly Attachment[],
  results: ReadonlyMap<string, Result>,
  target: Target,
  deadline: Deadline,
  caller: Caller,
): Promise<Outcome> {
  const netns = deletableNetns(target.netns);
  const failures: Failure[] = [];
  // Each in the order of the record.
  const failed: Attachment[] = [];
  const killed: Attachment[] = [];
  const notReached: Attachment[] = [];
  for (const [i, attachment] of attachments.toReversed().entries()) {
    if (deadline.expired) {
      notReached.unshift(attachment);
      failures.push({ attachment, error: noTime(attachment), reached: false });
      continue;
    }
    const { list, ifname, args, capabilityArgs } = attachment;
    const runtime = { ...target, netns, ifname, args, capabilityArgs };
    const share = deadline.share(attachments.length - i, leastShareMs);
    try {
      await delNetwork(list, runtime, results.get(ifname), share, caller);
      removeDeviceInfo(attachment);
    } catch (cause) {
      const error = CniError.from(cause);
      const wasKilled = error.cause instanceof ProcessKilled;
      (wasKilled ? killed : failed).unshift(attachment);
      failures.push({ attachment, error, reached: true });
    }
  }
  return { remaining: [...failed, ...killed, ...notReached], failures };
}

function noTime({ ifname }: Attachment): CniError {
  return new CniError(
    Code.tryAgainLater,
    `failed to delete ${ifname}: no time left`,
  );
}
