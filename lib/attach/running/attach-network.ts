/**
 * Adds one network to a running pod (agent.md "Hot attach and detach"), by the code of
 * ADD for one attachment: record first, plugin, result; the pod's status afterwards.
 */
import { CniError, Code, invalidConfig } from "../../cni/error.ts";
import type { Result } from "../../cni/result.ts";
import { namespaceId } from "../../linux/netns.ts";
import { PodNetwork } from "../../linux/pod-network.ts";
import { quote } from "../../linux/text.ts";
import {
  type Addition,
  type TypedNames,
  isOfNetwork,
  isSatisfied,
  parseAddition,
  requestedNetwork,
  typedNames,
} from "../../select/addition.ts";
import { type Attachment, displayName } from "../../select/attachment.ts";
import { type Choice, requireOneDefaultRoute } from "../../select/choice.ts";
import { maxAttachments } from "../../select/cni-annotation.ts";
import { lowestFree } from "../../select/interface-names.ts";
import { requireServedOnce } from "../../select/policy.ts";
import type { DueStatus } from "../../state/stored-results.ts";
import { type StatusReport, attach } from "../add-attachments.ts";
import { resolveChoice, selectionOf } from "../choice/choose.ts";
import { type Context, openOnce, readNetworks } from "../context.ts";
import { statusOfRunningPod, writeDue } from "../write-back.ts";
import { detachOne } from "./detach-network.ts";
import {
  type AddDeadlines,
  type Change,
  addDeadlines,
  changeOf,
  withStatusExtras,
} from "./pod-change.ts";
import {
  type PodSelector,
  type RunningPod,
  completeOf,
  devicesOf,
  withRunningPod,
} from "./running-pod.ts";

interface AttachRequest {
  /** For `parseAddition`. */
  network: string;
  /** The interface of an element that names none; by default a free one. */
  ifname?: string | undefined;
  /** An operator asks: the agent does not remove the network, and the status is written at once. */
  byHand?: boolean;
}

/** Throws NotChangeable, and the errors of an ADD, which is rolled back. */
export async function attachNetwork(
  node: Context,
  selector: PodSelector,
  request: AttachRequest,
): Promise<Change> {
  const deadlines = addDeadlines(node);
  const { forward } = deadlines;
  return withRunningPod(node, selector, "ADD", forward, async (pod) => {
    const networks = readNetworks(pod.context);
    const selection = selectionOf(pod.context, networks);
    const addition = parseAddition(request.network, selection);
    const ifname = addition.element.interface ?? request.ifname;
    const names = typedNames(pod.context.config, () => networks);
    const there = findPresent(pod, addition, ifname, names);
    const known = there && pod.stored.results.get(there.ifname);
    if (there && known && !there.detaching)
      return changeOf("present", pod, there, known);
    const rest = there ? await detachOne(pod, there, forward) : pod;
    const context = withFreeDevices(rest);
    const name = interfaceOf(rest, addition, there?.ifname ?? ifname);
    const api = openOnce(context, forward);
    const choice = choiceOf(addition, name);
    const added = await resolveChoice(context, choice, selection, api, forward);
    const [one] = added;
    if (!one) throw new CniError(Code.internal, "no attachment");
    if (request.byHand) one.origin = "hand";
    one.time = context.dependencies.now().toISOString();
    requireCompatible([...completeOf(rest).attachments, one], context);
    const target = { ...rest, context };
    const { result, due } = await addToPod(target, one, deadlines);
    if (request.byHand && due) await writeDue(context, due, api);
    return changeOf("attached", pod, one, result);
  });
}

/**
 * Adds an attachment beside those that the pod has, by the code of ADD. Throws its
 * errors; it is then rolled back.
 */
export async function addToPod(
  { context, record, stored, lock }: RunningPod,
  one: Attachment,
  deadlines: AddDeadlines,
): Promise<{ result: Result | undefined; due: DueStatus | undefined }> {
  const { attachments, results } = completeOf({ record, stored });
  const primary = attachments.findIndex((has) => has.ifname === record.ifname);
  const all = [...attachments, one];
  const present = { record, stored, results };
  const networks = { choice: { primary }, attachments: all };
  const report: StatusReport = {
    due: (ofAll) =>
      statusOfRunningPod(context, all.map(withStatusExtras), ofAll),
  };
  const added = await attach(context, networks, lock, deadlines, {
    report,
    present,
  });
  return { result: added.results.at(-1), due: added.due };
}

/**
 * The pod's attachment that the addition asks for, complete or left incomplete by an earlier
 * attach. Throws 7 for an interface of another network.
 */
function findPresent(
  { record, stored }: RunningPod,
  { element }: Addition,
  ifname: string | undefined,
  names: TypedNames,
): Attachment | undefined {
  const isIt = (one: Attachment) => isSatisfied(element, one, names);
  if (ifname === undefined) return record.attachments.find(isIt);
  const there = record.attachments.find((one) => one.ifname === ifname);
  const isThere = there && stored.results.has(ifname) && !there.detaching;
  if (!isThere || isIt(there)) return there;
  const network = quote(requestedNetwork(there));
  const isSame = isOfNetwork(element, there, names);
  const other = isSame ? ", with other requests: detach it first" : "";
  throw invalidConfig(
    `interface ${quote(ifname)} of the pod is network ${network} already${other}`,
  );
}

/**
 * A name that no interface of the pod has: its processes make interfaces too, and the
 * rollback of a plugin that finds one would delete it. `ifname` is requested by the
 * element, or preferred. Throws 7 for a requested one that is there.
 */
function interfaceOf(
  { context, record }: RunningPod,
  { element, node }: Addition,
  ifname: string | undefined,
): string {
  const links = linksOf(context);
  if (ifname !== undefined && !links.has(ifname)) return ifname;
  if (ifname !== undefined && ifname === element.interface)
    throw invalidConfig(
      `the pod has an interface ${quote(ifname)} that genie did not add`,
    );
  const taken = new Set(record.attachments.map((one) => one.ifname));
  for (const link of links) taken.add(link);
  return node ? lowestFree(taken, "eth", 0) : lowestFree(taken, "net", 1);
}

/** Empty where there is no network namespace: a virtual machine's. */
function linksOf({ request: { netns } }: Context): ReadonlySet<string> {
  if (namespaceId(netns) === undefined) return new Set();
  using network = new PodNetwork(netns);
  return new Set(network.links().keys());
}

/** The choice of one network, which has no primary: the pod has it already. */
function choiceOf({ node, definition }: Addition, ifname: string): Choice {
  return {
    elements: [node ? { ifname, node } : { ifname, definition }],
    primary: -1,
    definitions: definition ? [definition] : [],
    isNpwg: true,
  };
}

/** The rules of an ADD for all networks of a pod together. Throws 7. */
function requireCompatible(
  attachments: readonly Attachment[],
  { config }: Context,
): void {
  if (attachments.length > maxAttachments)
    throw invalidConfig(`the pod has ${maxAttachments} networks already`);
  const named = attachments.map((one) => ({ ...one, name: displayName(one) }));
  requireServedOnce(named, config);
  const requesting = attachments.filter(
    ({ element }) => element?.requests?.["defaultRoute"],
  );
  requireOneDefaultRoute(requesting.map(displayName));
}

/** The context in which the devices of the pod's other networks are in use. */
function withFreeDevices({ context, record }: RunningPod): Context {
  const { dependencies } = context;
  const inUse = devicesOf(record);
  return {
    ...context,
    dependencies: {
      ...dependencies,
      devices: (pod, config, options) =>
        dependencies.devices(pod, config, {
          ...options,
          inUse: [...inUse, ...options.inUse],
        }),
    },
  };
}
