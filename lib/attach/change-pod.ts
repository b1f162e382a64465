/**
 * One network of a running pod comes or goes (agent.md "Hot attach and detach"), by the
 * code of ADD and DEL for one attachment: record first, plugin, result; the pod's status
 * afterwards. Each call ends within 40 s, because a DEL waits 50 s for the lock.
 */
import { Code, CniError } from "../cni/error.ts";
import { modernResult, type Result } from "../cni/result.ts";
import { Deadline } from "../linux/deadline.ts";
import { messageOf } from "../linux/errno.ts";
import { recordedNetns } from "../linux/netns.ts";
import { quote } from "../linux/text.ts";
import {
  type Addition,
  isSatisfied,
  parseAddition,
} from "../select/addition.ts";
import {
  type Attachment,
  type Extras,
  displayName,
} from "../select/attachment.ts";
import { maxAttachments } from "../select/cni-annotation.ts";
import type { Choice } from "../select/choice.ts";
import { lowestFree } from "../select/interface-names.ts";
import { requireServedOnce } from "../select/policy.ts";
import { type Present, attach } from "./add-attachments.ts";
import { openOnce, resolveChoice, selectionOf } from "./choose.ts";
import {
  type Context,
  delegateCaller,
  prefixNetwork,
  readNetworks,
} from "./context.ts";
import { removeRouting } from "./del.ts";
import { deleteAttachments } from "./delete-attachments.ts";
import { type AttachmentRouting, auxiliaryKey } from "./record.ts";
import {
  type PodReference,
  type RunningPod,
  completeOf,
  devicesOf,
  withRunningPod,
} from "./running-pod.ts";
import { statusOf, writeDue } from "./write-back.ts";
import type { DueStatus } from "./records.ts";

/** Milliseconds from the start of a call; the status patch follows. */
const limits = { attach: 25_000, rollback: 36_000, detach: 36_000 };

function within(
  { dependencies }: Context,
  limit: keyof typeof limits,
): Deadline {
  return new Deadline(limits[limit], dependencies.clock);
}

export interface AttachRequest {
  /** For `parseAddition`. */
  network: string;
  /** The interface of an element that names none; by default a free one. */
  ifname?: string | undefined;
  /** By an operator: the agent does not remove it, and need not be there to write the status. */
  byHand?: boolean;
}

export interface Change {
  /** "present" and "absent": there was nothing to do. */
  outcome: "attached" | "present" | "detached" | "absent";
  pod?: { namespace: string; name: string };
  containerId: string;
  ifname: string;
  /** As it was requested; absent for an interface that the pod does not have. */
  network?: string;
  /** With prefix. */
  ips?: string[];
}

/** Throws LeftAlone, and the errors of an ADD, which is rolled back. */
export async function attachNetwork(
  node: Context,
  reference: PodReference,
  request: AttachRequest,
): Promise<Change> {
  const forward = within(node, "attach");
  const deadlines = { forward, rollback: within(node, "rollback") };
  return withRunningPod(node, reference, "ADD", forward, async (pod) => {
    const context = withFreeDevices(pod);
    const networks = readNetworks(context);
    const selection = selectionOf(context, networks);
    const addition = parseAddition(request.network, selection);
    const ifname = addition.element.interface ?? request.ifname;
    const there = findPresent(pod, addition, ifname);
    const known = there && pod.stored.results.get(there.ifname);
    if (there && known) return changeOf("present", pod, there, known);
    const rest = there
      ? await detachOne({ ...pod, context }, there, forward)
      : pod;
    const name = there?.ifname ?? ifname ?? freeName(pod, addition);
    const api = openOnce(context, forward);
    const choice = choiceOf(addition, name, rest);
    const added = await resolveChoice(context, choice, selection, api, forward);
    const { attachments, results } = completeOf(rest);
    const [one] = added;
    let due: DueStatus | undefined;
    if (!one) throw new CniError(Code.internal, "no attachment");
    if (request.byHand) one.origin = "hand";
    const all = [...attachments, one];
    requireCompatible(all, context);
    const present: Present = {
      record: rest.record,
      attachments,
      results,
      tables: rest.stored.routing,
      auxiliaryResult: rest.stored.results.get(auxiliaryKey),
      due: rest.stored.due,
      async statusOf(stored) {
        due = await statusOf(context, all.map(withStatusExtras), stored);
        return due;
      },
    };
    const chosen = { choice, attachments: all, isReported: true };
    const { lock } = pod;
    const done = await attach(context, chosen, lock, deadlines, present);
    if (request.byHand && due) await writeDue(context, due, api);
    return changeOf("attached", pod, one, done.results.at(-1));
  });
}

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

/** The attachment that makes an attach unnecessary, or that an earlier one left incomplete. Throws 7 for an interface of another network. */
function findPresent(
  { record, stored }: RunningPod,
  { element }: Addition,
  ifname: string | undefined,
): Attachment | undefined {
  if (ifname === undefined)
    return record.attachments.find((one) => isSatisfied(element, one));
  const there = record.attachments.find((one) => one.ifname === ifname);
  if (!there || !stored.results.has(ifname) || isSatisfied(element, there))
    return there;
  throw new CniError(
    Code.invalidNetworkConfig,
    `interface ${quote(ifname)} of the pod is network ${quote(displayName(there))} already`,
  );
}

function freeName({ record }: RunningPod, { node }: Addition): string {
  const taken = new Set(record.attachments.map(({ ifname }) => ifname));
  return node ? lowestFree(taken, "eth", 0) : lowestFree(taken, "net", 1);
}

/** The choice of one network; its primary is among those that are there. */
function choiceOf(addition: Addition, ifname: string, pod: RunningPod): Choice {
  const { attachments } = completeOf(pod);
  const primary = attachments.findIndex(
    (one) => one.ifname === pod.record.ifname,
  );
  const { node, definition } = addition;
  return node
    ? { elements: [{ ifname, node }], primary, definitions: [], isNpwg: true }
    : {
        elements: [{ ifname, definition }],
        primary,
        definitions: [definition],
        isNpwg: true,
      };
}

/** What an ADD refuses for all networks of a pod. Throws 7. */
function requireCompatible(
  attachments: readonly Attachment[],
  { config }: Context,
): void {
  const invalid = (problem: string) =>
    new CniError(Code.invalidNetworkConfig, problem);
  if (attachments.length > maxAttachments)
    throw invalid(`the pod has ${maxAttachments} networks already`);
  const named = attachments.map((one) => ({ ...one, name: displayName(one) }));
  requireServedOnce(named, config);
  const asking = attachments.filter(
    ({ element }) => element?.requests?.["defaultRoute"],
  );
  if (asking.length > 1)
    throw invalid(
      `"default-route" is requested for more than one network: ${asking.map(displayName).join(", ")}`,
    );
}

/** Deletes one attachment, then its result, then its entry in the record: killed in between, it is deleted once more. */
async function detachOne(
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

/** Without the devices that the pod's other networks have. */
function withFreeDevices({ context, record }: RunningPod): Context {
  const { dependencies } = context;
  const inUse = devicesOf(record);
  return {
    ...context,
    dependencies: {
      ...dependencies,
      devices: (pod, config, means) =>
        dependencies.devices(pod, config, { ...means, inUse }),
    },
  };
}

/** What the status says beyond the result, of an attachment of the record. */
function withStatusExtras(attachment: Attachment): Attachment {
  const extras = { ...statusExtras(attachment), ...attachment.extras };
  return { ...attachment, extras };
}

function statusExtras({ element, capabilityArgs }: Attachment): Extras {
  const defaultRoute = element?.requests?.["defaultRoute"];
  const { deviceID, CNIDeviceInfoFile: info } = capabilityArgs;
  const isTexts = (value: unknown): value is string[] =>
    Array.isArray(value) && value.every((text) => typeof text === "string");
  return {
    ...(isTexts(defaultRoute) && { defaultRoute }),
    ...(info !== undefined && { device: { id: String(deviceID) } }),
  };
}

function podOf({ record: { pod } }: RunningPod): Pick<Change, "pod"> {
  if (!pod) return {};
  const { namespace, name } = pod;
  return { pod: { namespace, name } };
}

function changeOf(
  outcome: Change["outcome"],
  pod: RunningPod,
  attachment: Attachment,
  result: Result | undefined,
): Change {
  const { containerId } = pod.record;
  const { ifname, definition } = attachment;
  const network = definition ?? displayName(attachment);
  const ips = result
    ? modernResult(result).ips.map(({ address }) => address)
    : [];
  return { outcome, ...podOf(pod), containerId, ifname, network, ips };
}
