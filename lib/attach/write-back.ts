/**
 * Tells the pod which addresses it has, in the annotations of CNI-Genie and of
 * the Network Plumbing Working Group (selection.md §7). A failure is logged and
 * never fails the pod.
 */
import { formatIp, parseCidr } from "../linux/address.ts";
import { messageOf } from "../linux/errno.ts";
import { type ModernResult, type Result, modernResult } from "../cni/result.ts";
import { latestVersion } from "../cni/version.ts";
import type { Kube } from "../kube/client.ts";
import { type Attachment, isWrittenBack } from "../select/select.ts";
import {
  gatewayOf,
  isDefaultRoute,
  podInterface,
} from "../cni/result-query.ts";
import { readDeviceInfo } from "./device-info.ts";
import type { Context } from "./context.ts";
import type { KnownPod } from "./annotations.ts";
import type { PodReference } from "./record.ts";

/** Milliseconds for everything here. */
const budgetMs = 3000;

/** One PATCH; nothing outside of Kubernetes. Never throws. */
export async function writeBack(
  context: Context,
  known: KnownPod,
  attachments: readonly Attachment[],
  results: readonly Result[],
  kube: () => Promise<Kube>,
): Promise<void> {
  const { pod, request, log, dependencies } = context;
  if (!pod || !isWrittenBack(attachments, known.annotations)) return;
  const subject = { pod: `${pod.namespace}/${pod.name}` };
  try {
    const annotations = statusAnnotations(attachments, results, request.ifname);
    const late = dependencies.sleep(budgetMs).then(() => {
      throw new Error(`no answer within ${budgetMs / 1000} s`);
    });
    const done = await Promise.race([
      patch(pod, known, annotations, kube),
      late,
    ]);
    log().debug("wrote the pod's network status", { ...subject, done });
  } catch (error) {
    const problem = { ...subject, error: messageOf(error) };
    log().warn("failed to write the pod's network status", problem);
  }
}

async function patch(
  pod: PodReference,
  known: KnownPod,
  annotations: Readonly<Record<string, string>>,
  kube: () => Promise<Kube>,
): Promise<"patched" | "gone"> {
  const client = await kube();
  const uid = await uidOf(pod, known, client);
  if (!uid) return "gone";
  return client.patchPodStatus(pod.namespace, pod.name, {
    metadata: { uid, annotations },
  });
}

/** So that a pod of the same name that came later is never touched; undefined when there is none. */
async function uidOf(
  pod: PodReference,
  known: KnownPod,
  kube: Kube,
): Promise<string | undefined> {
  if (known.fetched) return known.fetched.uid;
  const { ApiError, fetchPod, isStaticPod } = await import("../kube/client.ts");
  // The kubelet calls a static pod by the hash of its file.
  if (pod.uid !== "" && !isStaticPod(known.annotations)) return pod.uid;
  try {
    return (await fetchPod(kube, pod)).uid;
  } catch (error) {
    // The kubelet makes the mirror of a static pod when it can: there is none yet.
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}

/** Both annotations of selection.md §7, in the order of the attachments. */
export function statusAnnotations(
  attachments: readonly Attachment[],
  results: readonly Result[],
  primary: string,
): Record<string, string> {
  const views: NetworkStatus[] = [];
  const ips: Record<string, object> = {};
  for (const attachment of attachments) {
    const view = viewOf(attachment, results[views.length], primary);
    views.push(view);
    const [ip] = view.ips;
    ips[`ip${views.length}`] = {
      ...(ip !== undefined && { ip }),
      interface: view.interface,
    };
  }
  return {
    ...(views.length > 1 && {
      "multi-ip-preferences": JSON.stringify({
        multi_entry: views.length,
        ips,
      }),
    }),
    "k8s.v1.cni.cncf.io/network-status": JSON.stringify(views),
  };
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

function viewOf(
  attachment: Attachment,
  result: Result | undefined,
  primary: string,
): NetworkStatus {
  const { list, ifname, definition, asked } = attachment;
  const modern = modernResult(result ?? { cniVersion: latestVersion });
  const { mac, mtu } = podInterface(modern, ifname) ?? {};
  const gateway = defaultGateways(modern);
  const ips: string[] = [];
  for (const { address } of modern.ips) ips.push(withoutPrefix(address));
  const deviceInfo = readDeviceInfo(attachment);
  return {
    name: definition ?? list.name,
    interface: ifname,
    ips,
    ...(mac && { mac }),
    ...(mtu && { mtu }),
    default: ifname === primary,
    dns: modern.dns,
    ...(deviceInfo && { "device-info": deviceInfo }),
    ...(gateway.length > 0 && { gateway }),
    ...(asked?.defaultRoute && { "default-route": asked.defaultRoute }),
  };
}

/** Of each default route. */
function defaultGateways(result: ModernResult): string[] {
  const gateways: string[] = [];
  for (const route of result.routes) {
    const gateway = isDefaultRoute(route)
      ? gatewayOf(route, result)
      : undefined;
    if (gateway !== undefined) gateways.push(gateway);
  }
  return gateways;
}

function withoutPrefix(address: string): string {
  const cidr = parseCidr(address);
  return cidr ? formatIp(cidr.ip) : address;
}
