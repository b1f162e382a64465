/**
 * CHECK of a running pod's attachments, and the repair of one: it is deleted and added
 * again as it is recorded, whatever its network's configuration is now (agent.md
 * "Repair").
 */
import { Code, CniError } from "../../cni/error.ts";
import { checkNetwork } from "../../cni/network-upkeep.ts";
import { declares, protocolVersion } from "../../cni/network.ts";
import { addressesOf } from "../../cni/result-query.ts";
import type { Result } from "../../cni/result.ts";
import { has } from "../../cni/version.ts";
import { messageOf } from "../../linux/errno.ts";
import { requestedNetwork } from "../../select/addition.ts";
import type { Attachment } from "../../select/attachment.ts";
import type { Context } from "../context.ts";
import { delegateCaller, runtimeConf } from "../delegates.ts";
import { addToPod } from "./attach-network.ts";
import { detachOne } from "./detach-network.ts";
import {
  type Change,
  absent,
  addDeadlines,
  changeDeadline,
  changeOf,
  changeable,
  withStatusExtras,
} from "./pod-change.ts";
import {
  type PodSelector,
  type RunningPod,
  completeOf,
  withRunningPod,
} from "./running-pod.ts";

export interface CheckedAttachment {
  /** Changes with each ADD. */
  id: string;
  ifname: string;
  network: string;
  primary: boolean;
  /** "unknown": its plugins cannot CHECK, or there was no time. */
  outcome: "passed" | "failed" | "unknown";
  why?: string;
}

/** Every attachment that was completed, in the order of the record. Throws NotChangeable. */
export async function checkAttachments(
  node: Context,
  selector: PodSelector,
): Promise<CheckedAttachment[]> {
  const deadline = changeDeadline(node, "detach");
  return withRunningPod(node, selector, "CHECK", deadline, async (pod) => {
    const { context, record, stored, lock } = pod;
    const caller = delegateCaller(context, lock);
    const { attachments } = completeOf(pod);
    const checked: CheckedAttachment[] = [];
    for (const [i, attachment] of attachments.entries()) {
      const { list, ifname } = attachment;
      const share = deadline.share(attachments.length - i);
      const result = stored.results.get(ifname);
      const runtime = runtimeConf(context, attachment);
      const report = (outcome: CheckedAttachment["outcome"], why?: string) =>
        checked.push({
          id: Bun.hash(JSON.stringify([attachment, result])).toString(36),
          ifname,
          network: requestedNetwork(attachment),
          primary: ifname === record.ifname,
          outcome,
          ...(why !== undefined && { why }),
        });
      if (list.disableCheck || !has(protocolVersion(list), "check")) {
        report("unknown");
        continue;
      }
      try {
        await checkNetwork(list, runtime, result, share, caller);
        report("passed");
      } catch (error) {
        const { code } = CniError.from(error);
        const isLater = code === Code.tryAgainLater;
        report(isLater ? "unknown" : "failed", messageOf(error));
      }
    }
    return checked;
  });
}

/**
 * Throws NotChangeable, 7 for the primary, and the errors of DEL and ADD. After a failed ADD
 * the attachment stays in the record without a result, so that a second call adds it.
 */
export async function repairNetwork(
  node: Context,
  selector: PodSelector,
  ifname: string,
): Promise<Change> {
  const deadlines = addDeadlines(node);
  const { forward } = deadlines;
  return withRunningPod(node, selector, "ADD", forward, async (pod) => {
    const { stored, context } = pod;
    const broken = changeable(pod, ifname, "repaired");
    if (!broken) return absent(pod, ifname);
    const result = stored.results.get(ifname);
    const { detaching: _, ...again } = withAddresses(broken, result);
    const rest = { ...(await detachOne(pod, broken, forward)), context };
    try {
      const added = await addToPod(rest, withStatusExtras(again), deadlines);
      return changeOf("repaired", pod, again, added.result);
    } catch (error) {
      await keep(pod, again);
      throw error;
    }
  });
}

/** Asks for the same addresses, if the network has plugins that can be asked. */
function withAddresses(
  attachment: Attachment,
  result: Result | undefined,
): Attachment {
  const { list, capabilityArgs } = attachment;
  const isDeclared = list.plugins.some((plugin) => declares(plugin, "ips"));
  if (!result || !isDeclared || capabilityArgs["ips"] !== undefined)
    return attachment;
  const ips = addressesOf(result);
  return ips.length === 0
    ? attachment
    : { ...attachment, capabilityArgs: { ...capabilityArgs, ips } };
}

/** Writes the attachment into the record again, from which the rollback removed it: its pod or an operator wants it. */
async function keep(
  { context, record }: RunningPod,
  attachment: Attachment,
): Promise<void> {
  const { records, log } = context;
  try {
    const current = await records.read(record);
    if (!current) return;
    const { attachments } = current;
    if (attachments.some(({ ifname }) => ifname === attachment.ifname)) return;
    records
      .write({ ...current, attachments: [...attachments, attachment] })
      .sync();
  } catch (error) {
    log().error("failed to keep a broken attachment in the record", {
      error: messageOf(error),
    });
  }
}
