/**
 * The pod of a request, from the API server (selection.md §1). It decides whether
 * the object is that pod.
 */
import { quote } from "../linux/text.ts";
import { own } from "../cni/json.ts";
import type { Pod } from "./objects.ts";
import { ApiError } from "./api-error.ts";

/** From CNI_ARGS. */
export interface PodIdentity {
  namespace: string;
  name: string;
  /** K8S_POD_UID; absent or "" if the runtime does not send it. */
  uid?: string | undefined;
}

export interface PodInfo {
  namespace: string;
  name: string;
  /**
   * The uid at the API server, which differs from the runtime's for a static pod;
   * "" if there is none.
   */
  uid: string;
  annotations: Readonly<Record<string, string>>;
  /** The mirror of a static pod: the kubelet took it from a file or a URL. */
  isStatic: boolean;
}

/** The source of pods: `Kube`. */
interface Pods {
  getPod(namespace: string, name: string): Promise<Pod>;
}

/** Throws as `Kube.getPod`, and 11 if the pod of that name has another uid. */
export async function fetchPod(
  kube: Pods,
  identity: PodIdentity,
): Promise<PodInfo> {
  const { namespace, name, uid: meant } = identity;
  const { uid = "", annotations } = (await kube.getPod(namespace, name))
    .metadata;
  if (meant && meant !== uid && !mirrors(annotations, meant)) {
    const pod = quote(`${namespace}/${name}`);
    const found = uid === "" ? "no uid" : `uid ${quote(uid)}`;
    throw new ApiError(
      `failed to get pod ${pod}: the pod of that name has ${found}, not ${quote(meant)}`,
    );
  }
  return {
    namespace,
    name,
    uid,
    annotations,
    isStatic: isStaticPod(annotations),
  };
}

/** Whether the kubelet has the pod from a file or a URL (selection.md §7). */
export function isStaticPod(
  annotations: Readonly<Record<string, string>>,
): boolean {
  const source = own(annotations, "kubernetes.io/config.source");
  return source !== undefined && source !== "api";
}

/**
 * The runtime's uid of a static pod is the hash of its configuration; its mirror
 * has another uid.
 */
function mirrors(
  annotations: Readonly<Record<string, string>>,
  hash: string,
): boolean {
  return mirrorAnnotations.some((key) => own(annotations, key) === hash);
}

const mirrorAnnotations = [
  "kubernetes.io/config.hash",
  "kubernetes.io/config.mirror",
];
