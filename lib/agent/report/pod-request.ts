/** The requests for one pod's status: its version, and a PATCH that carries it. */
import * as v from "valibot";
import { map, object, parse } from "../../cni/schema.ts";
import { statusText } from "../../kube/api-error.ts";
import { isMeant } from "../../kube/objects.ts";
import { type Api, jsonOf } from "../../kube/typed-api.ts";
import type { PodReference } from "../../state/record.ts";
import { podRequest } from "../../kube/client.ts";

function pathOf({ namespace, name }: PodReference): string {
  return podRequest(namespace, name, "get").path;
}

/**
 * Throws for a pod that is gone, or another: the mirror of a static pod may come yet, and
 * a record that goes ends the tries.
 */
export async function readPodVersion(
  api: Api,
  pod: PodReference,
  signal: AbortSignal,
): Promise<{ uid: string; resourceVersion: string }> {
  const response = await api.send(pathOf(pod), signal);
  const body: unknown = await jsonOf(response).catch(() => undefined);
  if (!response.ok) throw new Error(statusText(response.status));
  const fail = (problem: string) => new Error(`invalid response: ${problem}`);
  const { metadata } = parse(podSchema, body, fail);
  const { uid, resourceVersion, annotations } = metadata;
  if (isMeant(uid, annotations ?? {}, pod.uid)) return { uid, resourceVersion };
  throw new Error("the pod of that name is another one");
}

const podSchema = object({
  metadata: object({
    uid: v.string(),
    resourceVersion: v.string(),
    annotations: v.nullish(map(v.string())),
  }),
});

/** The status of the response. */
export async function patchStatus(
  api: Api,
  pod: PodReference,
  patch: object,
  signal: AbortSignal,
): Promise<number> {
  const path = `${pathOf(pod)}/status`;
  const change = { method: "PATCH", body: patch } as const;
  const response = await api.send(path, signal, change);
  // A response that breaks off says nothing; the patch may be sent again.
  await response.arrayBuffer();
  return response.status;
}
