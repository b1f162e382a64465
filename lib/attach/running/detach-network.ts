/**
 * Removes one network from a running pod (agent.md "Hot attach and detach"), by the code
 * of DEL for one attachment, from the record.
 */
import type { Result } from "../../cni/result.ts";
import type { Family } from "../../linux/address.ts";
import type { Deadline } from "../../linux/deadline.ts";
import { messageOf } from "../../linux/errno.ts";
import { recordedNetns } from "../../linux/netns.ts";
import { type Attachment, displayName } from "../../select/attachment.ts";
import type { AttachmentRouting } from "../../state/record.ts";
import { type Context, openOnce, prefixNetwork } from "../context.ts";
import { delegateCaller } from "../delegates.ts";
import { removeRouting } from "../del.ts";
import { deleteAttachments } from "../delete-attachments.ts";
import { statusOf, writeDue } from "../write-back.ts";
import {
  type Change,
  absent,
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

/**
 * Deletes by the record, never by the network's configuration as it is now. Throws
 * LeftAlone, 7 for the primary, and the errors of a DEL: the attachment then stays in the
 * record.
 */
export async function detachNetwork(
  node: Context,
  selector: PodSelector,
  ifname: string,
  { byAgent = false } = {},
): Promise<Change> {
  const deadline = changeDeadline(node, "detach");
  return withRunningPod(node, selector, "DEL", deadline, async (pod) => {
    const { stored, context } = pod;
    const attachment = changeable(pod, ifname, "detached");
    const isLeft = byAgent && attachment?.origin !== undefined;
    if (!attachment || isLeft) return absent(pod, ifname);
    const result = stored.results.get(ifname);
    const { due } = (await detachOne(pod, attachment, deadline)).stored;
    const api = openOnce(context, changeDeadline(context, "attach"));
    if (!byAgent && due) await writeDue(context, due, api);
    return changeOf("detached", pod, attachment, result);
  });
}

/**
 * Marks one attachment, deletes it, then its result, then its entry in the record: killed
 * in between, or if its DEL fails, it is deleted once more before it can come back.
 */
export async function detachOne(
  pod: RunningPod,
  attachment: Attachment,
  deadline: Deadline,
): Promise<RunningPod> {
  const { context, record, stored } = pod;
  const { ifname } = attachment;
  const netns = recordedNetns(record, context.dependencies.bootId());
  mark(pod, attachment);
  const routing = new Map(stored.routing);
  const own = routing.get(ifname);
  if (own)
    await removeRouting(context, record, netns, new Map([[ifname, own]]));
  const families = await ownedDefaultRoutes(pod, attachment, netns);
  await deleteMarked(pod, attachment, netns, deadline);
  const results = new Map(stored.results);
  results.delete(ifname);
  routing.delete(ifname);
  if (families.length > 0)
    await passOnDefaultRoutes(pod, families, netns, results, routing);
  const attachments = record.attachments.filter((one) => one !== attachment);
  return writeRest({
    ...pod,
    record: { ...record, attachments },
    stored: { ...stored, results, routing },
  });
}

/** The record with the attachment as one that is being detached. Throws 5. */
function mark({ context, record }: RunningPod, attachment: Attachment): void {
  const marked = { ...attachment, detaching: true as const };
  const attachments = record.attachments.map((one) =>
    one === attachment ? marked : one,
  );
  context.records.write({ ...record, attachments }).sync();
}

/** Throws the errors of its DEL. */
async function deleteMarked(
  { context, record, stored, lock }: RunningPod,
  attachment: Attachment,
  netns: string,
  deadline: Deadline,
): Promise<void> {
  const { failures } = await deleteAttachments(
    [attachment],
    stored.results,
    { containerId: record.containerId, netns, path: context.path },
    deadline,
    delegateCaller(context, lock),
  );
  const [failure] = failures;
  if (failure)
    throw prefixNetwork(failure.error, record.pod, displayName(attachment));
}

/** Writes what the pod has after the detach: results and status first, then the record. */
async function writeRest(pod: RunningPod): Promise<RunningPod> {
  const { context, record, stored } = pod;
  const { records } = context;
  const { results, routing } = stored;
  const complete = completeOf(pod);
  const reported = complete.attachments.map(withStatusExtras);
  const due = await statusOf(context, reported, complete.results);
  records.writeResults(record, results, routing, due);
  records.write(record).sync();
  return { ...pod, stored: { ...stored, due } };
}

/**
 * The families whose default route the attachment owns; empty if no other network had to
 * leave the main table. A failure is logged, and does not stop the detach.
 */
async function ownedDefaultRoutes(
  { context, stored }: RunningPod,
  attachment: Attachment,
  netns: string,
): Promise<Family[]> {
  const { ifname } = attachment;
  const result = stored.results.get(ifname);
  const isAlone = [...stored.routing.keys()].every((name) => name === ifname);
  if (!result || isAlone) return [];
  try {
    const { ownedFamilies } = await import("../default-route-moves.ts");
    return await ownedFamilies(netns, attachment, result);
  } catch (error) {
    context.log().warn("failed to read the pod's default routes", {
      error: messageOf(error),
    });
    return [];
  }
}

/** Gives the default routes to the next network; a failure is a warning. */
async function passOnDefaultRoutes(
  { context, record }: RunningPod,
  families: readonly Family[],
  netns: string,
  results: Map<string, Result>,
  routing: Map<string, AttachmentRouting>,
): Promise<void> {
  const names = record.attachments.map(({ ifname }) => ifname);
  const order = [record.ifname, ...names];
  try {
    const { returnDefaultRoutes } = await import("../default-route-moves.ts");
    await returnDefaultRoutes(netns, families, order, results, routing);
  } catch (error) {
    context.log().warn("failed to give another network the default route", {
      error: messageOf(error),
    });
  }
}
