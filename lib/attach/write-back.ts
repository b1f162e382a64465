/**
 * Writes the pod's addresses to its status, in the annotations of CNI-Genie and of the
 * Network Plumbing Working Group (selection.md §7), or leaves that to the agent. A
 * failure is logged and never fails the pod.
 */
import { formatIp, parseCidr } from "../linux/address.ts";
import { messageOf } from "../linux/errno.ts";
import { type ModernResult, type Result, modernResult } from "../cni/result.ts";
import { latestVersion } from "../cni/version.ts";
import type { Kube } from "../kube/client.ts";
import type { Attachment } from "../select/attachment.ts";
import {
  gatewayOf,
  isDefaultRoute,
  podInterface,
} from "../cni/result-query.ts";
import type { Api, Context } from "./context.ts";
import type { Pod } from "./choose.ts";
import type { PodReference } from "./record.ts";
import type { DueStatus } from "./records.ts";
import { isSynced, statusSynced } from "./synced.ts";

/** Milliseconds for all requests. */
const budgetMs = 3000;

/**
 * One PATCH; none outside of Kubernetes, and none while the agent writes every status. A
 * status that could not be written is due: the agent writes it later (agent.md `--status`).
 * Never throws.
 */
export async function writeBack(
  context: Context,
  pod: Pod,
  attachments: readonly Attachment[],
  results: readonly Result[],
  api: Api,
): Promise<void> {
  const { pod: reference, request, dependencies, config } = context;
  if (!reference) return;
  const subject = { pod: `${reference.namespace}/${reference.name}` };
  let annotations: DueStatus["annotations"] | undefined;
  try {
    const devices = await deviceInfos(attachments);
    annotations = statusAnnotations(
      attachments,
      results,
      request.ifname,
      devices,
    );
    if (
      isSynced(`${config.dataDir}/${statusSynced}`, dependencies) &&
      (await leaveToAgent(context, annotations))
    )
      return;
    const outcome = await inTime(
      dependencies,
      patch(reference, pod, annotations, api),
    );
    const fields = { ...subject, done: outcome };
    context.log().debug("wrote the pod's network status", fields);
  } catch (error) {
    const problem = { ...subject, error: messageOf(error) };
    context.log().warn("failed to write the pod's network status", problem);
    // The server would refuse annotations that are too long again.
    const isLasting =
      error instanceof Error && "status" in error && error.status === 422;
    if (annotations && !isLasting) await leaveToAgent(context, annotations);
  }
}

/**
 * The status of a running pod whose networks change, which goes into the file of results
 * with them, so that it is due whatever comes. It removes what is no longer true;
 * undefined outside of Kubernetes. Never throws.
 */
export async function statusOf(
  { pod, request, log }: Context,
  attachments: readonly Attachment[],
  results: readonly Result[],
): Promise<DueStatus | undefined> {
  if (!pod) return undefined;
  let devices: ReadonlyMap<string, object> | undefined;
  try {
    devices = await deviceInfos(attachments);
  } catch (error) {
    log().warn("failed to read device information", {
      error: messageOf(error),
    });
  }
  const { ifname } = request;
  const annotations = {
    "multi-ip-preferences": null,
    ...statusAnnotations(attachments, results, ifname, devices),
  };
  return { id: crypto.randomUUID(), annotations };
}

/** Writes a status that is due in the file of results; the agent does it where this fails. Never throws. */
export async function writeDue(
  { pod, request, dependencies, config, log }: Context,
  { id, annotations }: DueStatus,
  api: Api,
): Promise<void> {
  if (!pod) return;
  const subject = { pod: `${pod.namespace}/${pod.name}` };
  try {
    await inTime(dependencies, patch(pod, undefined, annotations, api));
    const { recordDirectory } = await import("./record-directory.ts");
    recordDirectory({ config }).noteWritten(request, id);
  } catch (error) {
    log().warn("failed to write the pod's network status", {
      ...subject,
      error: messageOf(error),
    });
  }
}

/** Rejects after the budget. */
function inTime<T>(
  { sleep }: Pick<Context["dependencies"], "sleep">,
  work: Promise<T>,
): Promise<T> {
  const timeout = sleep(budgetMs).then(() => {
    throw new Error(`no response within ${budgetMs / 1000} s`);
  });
  return Promise.race([work, timeout]);
}

/** Connects for the PATCH, if there will be one. Never throws. */
export async function prepareWriteBack(
  { pod, config, dependencies }: Context,
  api: Api,
): Promise<void> {
  if (!pod || isSynced(`${config.dataDir}/${statusSynced}`, dependencies))
    return;
  try {
    await (await api()).connect();
  } catch {
    // The PATCH tells it.
  }
}

/** Whether the file of results says that the status is due. */
async function leaveToAgent(
  { config, request, log }: Context,
  annotations: DueStatus["annotations"],
): Promise<boolean> {
  try {
    const { recordDirectory } = await import("./record-directory.ts");
    const due = { id: crypto.randomUUID(), annotations };
    recordDirectory({ config }).noteDue(request, due);
    log().debug("left the pod's network status to the agent");
    return true;
  } catch (error) {
    const problem = { error: messageOf(error) };
    log().warn("failed to note the pod's network status as due", problem);
    return false;
  }
}

async function patch(
  reference: PodReference,
  pod: Pod | undefined,
  annotations: DueStatus["annotations"],
  api: Api,
): Promise<"patched" | "gone"> {
  const kube = await api();
  const uid = await uidOf(reference, pod, kube);
  if (!uid) return "gone";
  return kube.patchPodStatus(reference.namespace, reference.name, {
    metadata: { uid, annotations },
  });
}

/**
 * The uid of the patch, so that a later pod of the same name never changes; undefined
 * if the pod is gone.
 */
async function uidOf(
  reference: PodReference,
  pod: Pod | undefined,
  kube: Kube,
): Promise<string | undefined> {
  if (pod?.info) return pod.info.uid;
  const { ApiError, fetchPod, isStaticPod } = await import("../kube/client.ts");
  // For a static pod the kubelet passes the hash of its file as UID.
  if (pod && reference.uid !== "" && !isStaticPod(pod.annotations))
    return reference.uid;
  try {
    return (await fetchPod(kube, reference)).uid;
  } catch (error) {
    // The mirror of a static pod does not exist yet.
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}

/** By interface, for attachments with a device. */
async function deviceInfos(
  attachments: readonly Attachment[],
): Promise<ReadonlyMap<string, object>> {
  const infos = new Map<string, object>();
  for (const { extras, ifname, capabilityArgs } of attachments) {
    if (!extras?.device) continue;
    const { readDeviceInfo } = await import("../kubelet/device-info.ts");
    const info = readDeviceInfo(capabilityArgs);
    if (info) infos.set(ifname, info);
  }
  return infos;
}

/** Both annotations of selection.md §7, in the order of the attachments. */
export function statusAnnotations(
  attachments: readonly Attachment[],
  results: readonly Result[],
  primary: string,
  devices: ReadonlyMap<string, object> = new Map(),
): Record<string, string> {
  const statuses = attachments.map((attachment, i) =>
    networkStatus(attachment, results[i], primary, devices),
  );
  return {
    ...(statuses.length > 1 && {
      "multi-ip-preferences": multiIpPreferences(statuses),
    }),
    "k8s.v1.cni.cncf.io/network-status": JSON.stringify(statuses),
  };
}

/** The annotation of CNI-Genie: the first address of each interface. */
function multiIpPreferences(statuses: readonly NetworkStatus[]): string {
  const ips: Record<string, object> = {};
  for (const [i, status] of statuses.entries()) {
    const [ip] = status.ips;
    const address = ip === undefined ? {} : { ip };
    ips[`ip${i + 1}`] = { ...address, interface: status.interface };
  }
  return JSON.stringify({ multi_entry: statuses.length, ips });
}

/** NPWG v1.3 §5.2: one entry for an attachment, also without an interface of its own. */
interface NetworkStatus {
  name: string;
  interface: string;
  ips: string[];
  mac?: string;
  mtu?: number;
  default: boolean;
  dns: object;
  "device-info"?: object;
  gateway?: string[];
  "default-route"?: readonly string[];
}

function networkStatus(
  { list, ifname, definition, extras }: Attachment,
  result: Result | undefined,
  primary: string,
  devices: ReadonlyMap<string, object>,
): NetworkStatus {
  const modern = modernResult(result ?? { cniVersion: latestVersion });
  const { mac, mtu } = podInterface(modern, ifname) ?? {};
  const gateway = defaultGateways(modern);
  const deviceInfo = devices.get(ifname);
  return {
    name: definition ?? list.name,
    interface: ifname,
    ips: modern.ips.map(({ address }) => withoutPrefix(address)),
    ...(mac && { mac }),
    ...(mtu && { mtu }),
    default: ifname === primary,
    dns: modern.dns,
    ...(deviceInfo && { "device-info": deviceInfo }),
    ...(gateway.length > 0 && { gateway }),
    ...(extras?.defaultRoute && { "default-route": extras.defaultRoute }),
  };
}

function defaultGateways(result: ModernResult): string[] {
  return result.routes.flatMap((route) =>
    isDefaultRoute(route) ? (gatewayOf(route, result) ?? []) : [],
  );
}

function withoutPrefix(address: string): string {
  const cidr = parseCidr(address);
  return cidr ? formatIp(cidr.ip) : address;
}
