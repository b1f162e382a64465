/**
 * Objects of the API server: it validates the few keys that genie reads of a
 * response, and decides whether a pod is the one of the request (selection.md §1).
 * Annotations become an object of strings.
 */
import type { V1ObjectMeta } from "@kubernetes/client-node";
import {
  type JsonObject,
  isObject,
  jsonIfAny,
  mismatch,
  omitUndefined,
  own,
} from "../cni/json.ts";
import { plain, quote } from "../linux/text.ts";
import { ApiError } from "./api-error.ts";

export type Pod = KubeObject;

/** NPWG v1.3 §3: the configuration is text in `spec.config`, or a file of the node. */
export interface NetworkAttachmentDefinition extends KubeObject {
  spec: { config?: string };
}

export interface KubeObject {
  metadata: Metadata;
}

/** Always present, empty if the object has none. */
export type Metadata = Pick<V1ObjectMeta, "name" | "namespace" | "uid"> & {
  annotations: Record<string, string>;
};

/** Throws an `ApiError` naming the wrong key; quotes no value. */
export function parsePod(response: string, action: () => string): Pod {
  return { metadata: metadataOf(decode(response, action), action) };
}

/** Throws as `parsePod`. A definition without spec selects a file of the node. */
export function parseDefinition(
  response: string,
  action: () => string,
): NetworkAttachmentDefinition {
  const object = decode(response, action);
  const metadata = metadataOf(object, action);
  const spec = specOf(object, action);
  const config = textOf(spec, "config", "spec", action);
  return { metadata, spec: config === undefined ? {} : { config } };
}

/** Empty for an object without one. Throws as `parsePod`. */
export function parseSpec(response: string, action: () => string): JsonObject {
  return specOf(decode(response, action), action);
}

function specOf(object: JsonObject, action: () => string): JsonObject {
  const spec = own(object, "spec") ?? {};
  if (!isObject(spec)) throw invalid(action, "spec", spec, "an object");
  return spec;
}

function metadataOf(object: JsonObject, action: () => string): Metadata {
  const found = own(object, "metadata");
  if (!isObject(found)) throw invalid(action, "metadata", found, "an object");
  const read = (key: string): string | undefined =>
    textOf(found, key, "metadata", action);
  return omitUndefined<Metadata>({
    name: read("name"),
    namespace: read("namespace"),
    uid: read("uid"),
    annotations: annotationsOf(found, action),
  });
}

/** Own properties only: `constructor` is an ordinary annotation. */
function annotationsOf(
  metadata: JsonObject,
  action: () => string,
): Record<string, string> {
  const map = own(metadata, "annotations") ?? {};
  if (isTextMap(map)) return map;
  const at = "metadata.annotations";
  if (!isObject(map)) throw invalid(action, at, map, "an object");
  const [key = "", value] =
    Object.entries(map).find(([, text]) => typeof text !== "string") ?? [];
  throw invalid(action, `${at}.${plain(key)}`, value, "a string");
}

function isTextMap(map: unknown): map is Record<string, string> {
  if (!isObject(map)) return false;
  for (const value of Object.values(map)) {
    if (typeof value !== "string") return false;
  }
  return true;
}

/** Null is treated as absent. */
function textOf(
  object: JsonObject,
  key: string,
  path: string,
  action: () => string,
): string | undefined {
  const value = own(object, key) ?? undefined;
  if (value === undefined || typeof value === "string") return value;
  throw invalid(action, `${path}.${key}`, value, "a string");
}

function invalid(
  action: () => string,
  key: string,
  value: unknown,
  expected: string,
): ApiError {
  const problem = mismatch(expected, value, true);
  return new ApiError(
    `failed to ${action()}: invalid response: ${key}: ${problem}`,
  );
}

function decode(response: string, action: () => string): JsonObject {
  const value = jsonIfAny(response);
  if (isObject(value)) return value;
  throw new ApiError(
    `failed to ${action()}: the response is not a JSON object`,
  );
}

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
  getPod(
    namespace: string,
    name: string,
    isMeant?: (pod: Pod) => boolean,
  ): Promise<Pod>;
}

/** Throws as `Kube.getPod`, and 11 if the pod of that name has another uid. */
export async function fetchPod(
  kube: Pods,
  { namespace, name, uid: meant = "" }: PodIdentity,
): Promise<PodInfo> {
  const isIt = ({ metadata: { uid = "", annotations } }: Pod) =>
    isMeant(uid, annotations, meant);
  // Only a uid tells the pod from an earlier one of the same name.
  const pod = await kube.getPod(namespace, name, meant ? isIt : undefined);
  const { uid = "", annotations } = pod.metadata;
  if (!isIt(pod)) throw otherPod(namespace, name, uid, meant);
  const isStatic = isStaticPod(annotations);
  return { namespace, name, uid, annotations, isStatic };
}

/** The error of a pod that is not the one that is meant. */
export function otherPod(
  namespace: string,
  name: string,
  uid: string,
  meant: string,
): ApiError {
  const found = uid === "" ? "no uid" : `uid ${quote(uid)}`;
  return new ApiError(
    `failed to get pod ${quote(`${namespace}/${name}`)}: the pod of that name has ${found}, not ${quote(meant)}`,
  );
}

/** Whether the kubelet has the pod from a file or a URL (selection.md §7). */
export function isStaticPod(
  annotations: Readonly<Record<string, string>>,
): boolean {
  const source = own(annotations, "kubernetes.io/config.source");
  return source !== undefined && source !== "api";
}

/**
 * Whether a pod of the API server is the one of the runtime. The runtime's uid of a static
 * pod is the hash of its configuration; its mirror has another uid.
 */
export function isMeant(
  uid: string,
  annotations: Readonly<Record<string, string>>,
  meant: string,
): boolean {
  return (
    meant === "" ||
    meant === uid ||
    mirrorAnnotations.some((key) => own(annotations, key) === meant)
  );
}

const mirrorAnnotations = [
  "kubernetes.io/config.hash",
  "kubernetes.io/config.mirror",
];
