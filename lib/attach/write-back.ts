/**
 * Writes the pod's addresses to its status, in the annotations of CNI-Genie and of the
 * Network Plumbing Working Group (selection.md §7), or leaves that to the agent. A
 * failure is logged and never fails the pod.
 */
import { own } from "../cni/json.ts";
import type { Result } from "../cni/result.ts";
import type { Kube } from "../kube/client.ts";
import { messageOf } from "../linux/errno.ts";
import {
  type Attachment,
  preferencesAnnotation,
} from "../select/attachment.ts";
import { logs } from "../state/log-level.ts";
import type { PodReference } from "../state/record.ts";
import type { DueStatus } from "../state/stored-results.ts";
import { isSynced, statusSynced } from "../state/synced.ts";
import type { AnnotatedPod } from "./choice/pod-annotations.ts";
import type { Context, OpenKube } from "./context.ts";
import { statusAnnotations } from "./network-status.ts";

/** Milliseconds for all requests. */
const budgetMs = 3000;

/**
 * One PATCH; none outside of Kubernetes. A status that could not be written is due: the
 * agent writes it later (agent.md `--status`). Never throws.
 */
export async function writeBack(
  context: Context,
  pod: AnnotatedPod,
  attachments: readonly Attachment[],
  results: readonly Result[],
  api: OpenKube,
): Promise<void> {
  const { pod: reference, dependencies } = context;
  if (!reference) return;
  let annotations: DueStatus["annotations"] | undefined;
  try {
    annotations = await newAnnotations(context, pod, attachments, results);
    const outcome = await inTime(
      dependencies,
      patch(reference, pod, annotations, api),
    );
    // Most logs have no such line, and need not be loaded.
    if (logs(context.config.logLevel, "debug"))
      context.log().debug("wrote the pod's network status", { done: outcome });
  } catch (error) {
    warnOfFailure(context, error);
    // The server would refuse annotations that are too long again.
    const isLasting =
      error instanceof Error && "status" in error && error.status === 422;
    if (annotations && !isLasting) await noteDue(context, annotations);
  }
}

/**
 * The status of a new pod while the agent writes every status. It is written together with
 * the results, so that no crash loses it. undefined if ADD writes it.
 */
export async function statusForAgent(
  context: Context,
  pod: AnnotatedPod,
  attachments: readonly Attachment[],
  results: readonly Result[],
): Promise<DueStatus | undefined> {
  if (!context.pod || !isLeftToAgent(context)) return undefined;
  return due(await newAnnotations(context, pod, attachments, results));
}

/** The annotations of a new sandbox: a pod with one network loses the preferences of an earlier sandbox. */
async function newAnnotations(
  context: Context,
  pod: AnnotatedPod,
  attachments: readonly Attachment[],
  results: readonly Result[],
): Promise<DueStatus["annotations"]> {
  const isOld = own(pod.annotations, preferencesAnnotation) !== undefined;
  return {
    ...(isOld && { [preferencesAnnotation]: null }),
    ...(await annotationsFrom(context, attachments, results)),
  };
}

/**
 * The status of a running pod whose networks change. It is written together with the
 * results, so that no crash loses it, and removes outdated annotations. undefined outside of
 * Kubernetes.
 */
export async function statusOfRunningPod(
  context: Context,
  attachments: readonly Attachment[],
  results: readonly Result[],
): Promise<DueStatus | undefined> {
  if (!context.pod) return undefined;
  return due({
    [preferencesAnnotation]: null,
    ...(await annotationsFrom(context, attachments, results)),
  });
}

function due(annotations: DueStatus["annotations"]): DueStatus {
  return { id: crypto.randomUUID(), annotations };
}

/** Sends the PATCH of a status that is due. If it fails, the agent sends it later. Never throws. */
export async function writeDue(
  context: Context,
  { id, annotations }: DueStatus,
  api: OpenKube,
): Promise<void> {
  const { pod, request, dependencies, config } = context;
  if (!pod) return;
  try {
    await inTime(dependencies, patch(pod, undefined, annotations, api));
    const { recordDirectory } = await import("../state/record-directory.ts");
    recordDirectory({ config }).noteWritten(request, id);
  } catch (error) {
    warnOfFailure(context, error);
  }
}

function warnOfFailure({ log }: Context, error: unknown): void {
  log().warn("failed to write the pod's network status", {
    error: messageOf(error),
  });
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
  context: Context,
  api: OpenKube,
): Promise<void> {
  if (!context.pod || isLeftToAgent(context)) return;
  try {
    await (await api()).connect();
  } catch {
    // The PATCH reports it.
  }
}

function isLeftToAgent({ config, dependencies }: Context): boolean {
  return isSynced(`${config.dataDir}/${statusSynced}`, dependencies);
}

/** Notes in the file of results that the status is due. */
async function noteDue(
  { config, request, log }: Context,
  annotations: DueStatus["annotations"],
): Promise<void> {
  try {
    const { recordDirectory } = await import("../state/record-directory.ts");
    recordDirectory({ config }).noteDue(request, due(annotations));
    log().debug("left the pod's network status to the agent");
  } catch (error) {
    const problem = { error: messageOf(error) };
    log().warn("failed to note the pod's network status as due", problem);
  }
}

async function patch(
  reference: PodReference,
  pod: AnnotatedPod | undefined,
  annotations: DueStatus["annotations"],
  api: OpenKube,
): Promise<"patched" | "gone"> {
  const kube = await api();
  const uid = pod?.info?.uid ?? (await uidOf(reference, pod, kube));
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
  pod: AnnotatedPod | undefined,
  kube: Kube,
): Promise<string | undefined> {
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

async function annotationsFrom(
  { request }: Context,
  attachments: readonly Attachment[],
  results: readonly Result[],
): Promise<Record<string, string>> {
  // The device information of each interface that has a device.
  const devices = new Map<string, object>();
  for (const { device, ifname, capabilityArgs } of attachments) {
    if (!device) continue;
    const { readDeviceInfo } = await import("../kubelet/device-info.ts");
    const info = readDeviceInfo(capabilityArgs);
    if (info) devices.set(ifname, info);
  }
  return statusAnnotations(attachments, results, request.ifname, devices);
}
