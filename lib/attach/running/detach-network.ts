/**
 * Removes one network from a running pod (agent.md "Hot attach and detach"), by the code
 * of DEL for one attachment, from the record.
 */
import type { Deadline } from "../../linux/deadline.ts";
import { recordedNetns } from "../../linux/netns.ts";
import { type Attachment, displayName } from "../../select/attachment.ts";
import { type Context, openOnce, prefixNetwork } from "../context.ts";
import { delegateCaller } from "../delegates.ts";
import { removeRouting } from "../del.ts";
import { deleteAttachments } from "../delete-attachments.ts";
import { statusOfRunningPod, writeDue } from "../write-back.ts";
import {
  ownedDefaultRoutes,
  passOnDefaultRoutes,
} from "./pass-on-default-routes.ts";
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
 * NotChangeable, 7 for the primary, and the errors of a DEL: the attachment then stays in the
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
  const families = ownedDefaultRoutes(pod, withStatusExtras(attachment), netns);
  await deleteMarked(pod, attachment, netns, deadline);
  const results = new Map(stored.results);
  results.delete(ifname);
  routing.delete(ifname);
  // A family that fails must not cost the other one its default route.
  for (const family of families)
    passOnDefaultRoutes(pod, family, netns, results, routing);
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

/** Writes the state after the detach: results and status first, then the record. */
async function writeRest(pod: RunningPod): Promise<RunningPod> {
  const { context, record, stored } = pod;
  const { records } = context;
  const { results, routing } = stored;
  const complete = completeOf(pod);
  const reported = complete.attachments.map(withStatusExtras);
  const due = await statusOfRunningPod(context, reported, complete.results);
  records.writeResults(record, results, routing, due);
  records.write(record).sync();
  return { ...pod, stored: { ...stored, due } };
}
