/**
 * A running pod, by its record (agent.md "Hot attach and detach"): which record it is,
 * and whether its networks may be changed. Everything is decided under the container's
 * lock, from the record as it is then.
 */
import { formatCniArgs, parseCniArgs } from "../../cni/args.ts";
import { Code, CniError } from "../../cni/error.ts";
import type { Result } from "../../cni/result.ts";
import type { UsedDevice } from "../../kubelet/taken-devices.ts";
import type { Deadline } from "../../linux/deadline.ts";
import { messageOf } from "../../linux/errno.ts";
import { mountNamespace, recordedNetns } from "../../linux/netns.ts";
import { quote } from "../../linux/text.ts";
import type { Attachment, Device } from "../../select/attachment.ts";
import { type Lock, withContainerLock } from "../../state/lock.ts";
import { logs } from "../../state/log-level.ts";
import { recordDirectory } from "../../state/record-directory.ts";
import { type AttachmentRecord, isSameAdd } from "../../state/record.ts";
import { Records } from "../../state/records.ts";
import type { DueStatus, StoredResults } from "../../state/stored-results.ts";
import { openCallsLog } from "../calls-log.ts";
import { type Context, createContext } from "../context.ts";
import { searchPath } from "../delegates.ts";
import type { PresentAttachments } from "../rollback.ts";

/** The pod's name, or exactly one record of it. */
export type PodSelector =
  | { namespace: string; name: string; containerId?: undefined }
  | { containerId: string; ifname: string };

export interface RunningPod extends Pick<
  PresentAttachments,
  "record" | "stored"
> {
  /** The context of its ADD: request, arguments and plugin directories of the record. */
  context: Context;
  lock: Lock;
}

/** The pod's networks may not be changed: it ends, its ADD has not completed, or it has no record. */
export class NotChangeable extends CniError {
  constructor(subject: string, why: string) {
    super(Code.tryAgainLater, `${subject} cannot be changed: ${why}`);
  }
}

/**
 * Runs `work` under the lock of the pod's container. `node` is the context of a command:
 * the node's configuration and directories. Throws NotChangeable, 11 for the lock.
 */
export async function withRunningPod<T>(
  node: Context,
  selector: PodSelector,
  command: "ADD" | "DEL" | "CHECK",
  deadline: Deadline,
  work: (pod: RunningPod) => Promise<T>,
): Promise<T> {
  const found = await findRecord(node, selector);
  const change = async (lock: Lock): Promise<T> => {
    const record = await node.records.read(found);
    const subject = subjectOf(found);
    if (!record || !isSameAdd(record, found))
      throw new NotChangeable(subject, "its container was deleted");
    const results = await node.records.readResults(record);
    const stored = { ...results, due: dueOf(node, record) };
    const why = whyNotChangeable(node, record, stored);
    if (why !== undefined) throw new NotChangeable(subject, why);
    requireVisible(record);
    const run = (context: Context) => work({ context, record, stored, lock });
    return logged(contextOfAdd(node, record, command), run);
  };
  return withContainerLock(node, found.containerId, deadline, change);
}

/** Logs a change like a call of the runtime, and counts it for the metrics. A CHECK is not counted: the agent makes one each minute. */
async function logged<T>(
  context: Context,
  run: (context: Context) => Promise<T>,
): Promise<T> {
  const { request, config, dependencies } = context;
  const isCheck = request.command === "CHECK";
  const callsLog = isCheck
    ? undefined
    : openCallsLog(request, request.config, dependencies, true);
  const observed = callsLog ? { ...context, callsLog } : context;
  try {
    const result = logs(config.logLevel, isCheck ? "debug" : "info")
      ? await (await import("../outcome-log.ts")).logOutcome(observed, run)
      : await run(observed);
    callsLog?.ended();
    return result;
  } catch (error) {
    callsLog?.ended(error);
    throw error;
  }
}

/** Throws NotChangeable without a record. */
async function findRecord(
  node: Context,
  selector: PodSelector,
): Promise<AttachmentRecord> {
  if (selector.containerId !== undefined) {
    const record = await node.records.read(selector);
    if (record) return record;
    throw new NotChangeable(`container ${selector.containerId}`, noRecord);
  }
  const { namespace, name } = selector;
  const { record, unreadable } = await newestRecord(node, namespace, name);
  if (record) return record;
  const problem = unreadable && `; ${unreadable}`;
  const subject = `pod ${quote(`${namespace}/${name}`)}`;
  throw new NotChangeable(subject, `${noRecord}${problem ?? ""}`);
}

const noRecord = "it has no attachment record on this node";

/** The newest record of this boot: a static pod that was changed has two containers for a while. */
async function newestRecord(
  { config, dependencies }: Context,
  namespace: string,
  name: string,
): Promise<{ record?: AttachmentRecord; unreadable?: string }> {
  const bootId = dependencies.bootId();
  let newest: AttachmentRecord | undefined;
  let unreadable: string | undefined;
  for await (const { record, name: file, error } of recordDirectory({
    config,
  }).all()) {
    if (!record) unreadable = `record ${quote(file)}: ${messageOf(error)}`;
    else if (
      record.bootId === bootId &&
      record.pod?.namespace === namespace &&
      record.pod.name === name &&
      record.uptimeMs >= (newest?.uptimeMs ?? 0)
    )
      newest = record;
  }
  return {
    ...(newest && { record: newest }),
    ...(unreadable !== undefined && { unreadable }),
  };
}

function subjectOf({ pod, containerId }: AttachmentRecord): string {
  return pod
    ? `pod ${quote(`${pod.namespace}/${pod.name}`)}`
    : `container ${containerId}`;
}

/** undefined: its networks may be changed. */
function whyNotChangeable(
  { config, dependencies }: Context,
  record: AttachmentRecord,
  { results }: StoredResults,
): string | undefined {
  const { ifname, attachments } = record;
  if (recordDirectory({ config }).isDeleting(record))
    return "its DEL has begun";
  if (!attachments.some((attachment) => attachment.ifname === ifname))
    return `its record has no primary attachment ${ifname}`;
  if (!results.has(ifname)) return "its ADD has not completed";
  if (isOurMount(record) && recordedNetns(record, dependencies.bootId()) === "")
    return "its network namespace is gone";
  return undefined;
}

/** The status that is due so far; none of an unreadable file. */
function dueOf(
  node: Context,
  { containerId, ifname }: AttachmentRecord,
): DueStatus | undefined {
  try {
    return recordDirectory(node).dueStatus(Records.nameOf(containerId, ifname));
  } catch {
    return undefined;
  }
}

function isOurMount({ mountNamespace: recorded }: AttachmentRecord): boolean {
  return recorded === undefined || recorded === mountNamespace();
}

/** Throws 5 in another mount namespace, where the path of the network namespace has no meaning. */
function requireVisible(record: AttachmentRecord): void {
  if (isOurMount(record)) return;
  throw new CniError(
    Code.io,
    `cannot see the network namespace of container ${record.containerId}: this mount namespace is ${mountNamespace() ?? "unknown"}, that of its ADD was ${record.mountNamespace}: run it as \`nsenter -t 1 -m -- genie …\``,
  );
}

/** The request of the pod's ADD, for its other attachments. */
function contextOfAdd(
  node: Context,
  record: AttachmentRecord,
  command: "ADD" | "DEL" | "CHECK",
): Context {
  const { containerId, ifname, netns, pod } = record;
  const request = {
    ...node.request,
    command,
    containerId,
    ifname,
    netns,
    args: argsOf(record),
    path: searchPath(node.request, record),
  };
  const context = createContext(request, node.dependencies);
  return { ...context, pod };
}

/** CNI_ARGS of the runtime: those of the primary without its own requests. */
function argsOf({ attachments, ifname }: AttachmentRecord): string {
  const primary = attachments.find((one) => one.ifname === ifname);
  const args = primary?.args ?? "";
  const { ips, mac } = primary?.capabilityArgs ?? {};
  if (primary?.definition === undefined || !(ips ?? mac)) return args;
  const others = parseCniArgs(args).filter(
    ([key]) => !(key === "IP" && ips) && !(key === "MAC" && mac),
  );
  return formatCniArgs(others);
}

/** The attachments that were added completely, each with its result. */
export function completeOf({
  record,
  stored,
}: Pick<RunningPod, "record" | "stored">): {
  attachments: Attachment[];
  results: Result[];
} {
  const attachments: Attachment[] = [];
  const results: Result[] = [];
  for (const attachment of record.attachments) {
    const result = stored.results.get(attachment.ifname);
    if (!result || attachment.detaching) continue;
    attachments.push(attachment);
    results.push(result);
  }
  return { attachments, results };
}

/** The devices that the pod's networks have. */
export function devicesOf({ attachments }: AttachmentRecord): UsedDevice[] {
  return attachments.flatMap((one) => recordedDevice(one) ?? []);
}

/** The recorded device; its ID alone in a record before 0.2.0. */
export function recordedDevice({
  device,
  capabilityArgs: { deviceID },
}: Attachment): Device | undefined {
  return (
    device ?? (typeof deviceID === "string" ? { id: deviceID } : undefined)
  );
}
