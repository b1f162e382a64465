/**
 * One network of a running pod goes (agent.md "Hot attach and detach"), by the code of DEL
 * for one attachment, from the record.
 */
import { Code, CniError } from "../cni/error.ts";
import type { Result } from "../cni/result.ts";
import type { Deadline } from "../linux/deadline.ts";
import { messageOf } from "../linux/errno.ts";
import { recordedNetns } from "../linux/netns.ts";
import { quote } from "../linux/text.ts";
import { type Attachment, displayName } from "../select/attachment.ts";
import { openOnce } from "./choose.ts";
import { type Context, delegateCaller, prefixNetwork } from "./context.ts";
import { removeRouting } from "./del.ts";
import { deleteAttachments } from "./delete-attachments.ts";
import {
  type Change,
  changeOf,
  podOf,
  within,
  withStatusExtras,
} from "./pod-change.ts";
import { type AttachmentRouting, auxiliaryKey } from "./record.ts";
import {
  type PodReference,
  type RunningPod,
  completeOf,
  withRunningPod,
} from "./running-pod.ts";
import { statusOf, writeDue } from "./write-back.ts";

/** Deletes by the record, never by the network's configuration as it is now. Throws LeftAlone, 7 for the primary, and the errors of a DEL: the attachment then stays in the record. */
export async function detachNetwork(
  node: Context,
  reference: PodReference,
  ifname: string,
  { byAgent = false } = {},
): Promise<Change> {
  const deadline = within(node, "detach");
  return withRunningPod(node, reference, "DEL", deadline, async (pod) => {
    const { record, stored, context } = pod;
    const { containerId } = record;
    if (ifname === record.ifname)
      throw new CniError(
        Code.invalidNetworkConfig,
        `interface ${quote(ifname)} is the pod's primary, which cannot be detached`,
      );
    const attachment = record.attachments.find((one) => one.ifname === ifname);
    const isLeft = byAgent && attachment?.origin !== undefined;
    if (!attachment || isLeft)
      return { outcome: "absent", ...podOf(pod), containerId, ifname };
    const result = stored.results.get(ifname);
    const { due } = (await detachOne(pod, attachment, deadline)).stored;
    const api = openOnce(context, within(context, "attach"));
    if (!byAgent && due) await writeDue(context, due, api);
    return changeOf("detached", pod, attachment, result);
  });
}

/** Deletes one attachment, then its result, then its entry in the record: killed in between, it is deleted once more. */
export async function detachOne(
  pod: RunningPod,
  attachment: Attachment,
  deadline: Deadline,
): Promise<RunningPod> {
  const { context, record, stored, lock } = pod;
  const { records, path, dependencies } = context;
  const { containerId } = record;
  const { ifname } = attachment;
  const netns = recordedNetns(record, dependencies.bootId());
  const routing = new Map(stored.routing);
  const own = routing.get(ifname);
  if (own)
    await removeRouting(context, record, netns, new Map([[ifname, own]]));
  const { failures } = await deleteAttachments(
    [attachment],
    stored.results,
    { containerId, netns, path },
    deadline,
    delegateCaller(context, lock),
  );
  const [failure] = failures;
  if (failure)
    throw prefixNetwork(failure.error, record.pod, displayName(attachment));
  const results = new Map(stored.results);
  results.delete(ifname);
  routing.delete(ifname);
  if (attachment.element?.requests?.["defaultRoute"])
    await returnDefaultRoute(pod, netns, results, routing);
  const attachments = record.attachments.filter((one) => one !== attachment);
  const rest = {
    ...pod,
    record: { ...record, attachments },
    stored: { ...stored, results, routing },
  };
  const complete = completeOf(rest);
  const reported = complete.attachments.map(withStatusExtras);
  const due = await statusOf(context, reported, complete.results);
  records.writeResults(
    rest.record,
    attachments.map((one) => results.get(one.ifname)),
    routing,
    results.get(auxiliaryKey),
    due,
  );
  records.write(rest.record).sync();
  return { ...rest, stored: { ...rest.stored, due } };
}

/** The pod keeps a way out, or a warning says that it has none. */
async function returnDefaultRoute(
  { context, record }: RunningPod,
  netns: string,
  results: Map<string, Result>,
  routing: Map<string, AttachmentRouting>,
): Promise<void> {
  const { ifname } = record;
  const [own, result] = [routing.get(ifname), results.get(ifname)];
  if (!own || !result) return;
  try {
    const { returnToPrimary } = await import("./default-route.ts");
    results.set(ifname, (await returnToPrimary(netns, own, result)) ?? result);
    routing.delete(ifname);
  } catch (error) {
    context.log().warn("failed to return the default route to the primary", {
      ifname,
      error: messageOf(error),
    });
  }
}
