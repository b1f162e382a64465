/** The requests for one pod's status: its version, and a PATCH that carries it. */
import * as v from "valibot";
import { map, object, parse } from "../../cni/schema.ts";
import { podRequest } from "../../kube/client.ts";
import { isMeant } from "../../kube/objects.ts";
import { type Api, jsonOf } from "../../kube/typed-api.ts";
import type { PodReference } from "../../state/record.ts";
import { ResponseError, requireSuccess } from "../watch/api-response.ts";

/**
 * Throws for a pod that is gone, or another: the mirror of a static pod may come yet, and
 * a record that goes ends the tries.
 */
export async function readPodVersion(
  api: Api,
  pod: PodReference,
  signal: AbortSignal,
): Promise<{ uid: string; resourceVersion: string }> {
  const response = await requireSuccess(await api.send(pathOf(pod), signal));
  const body: unknown = await jsonOf(response).catch(() => undefined);
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

const patchOutcomes = new Map<number, "written" | "conflict" | "refused">([
  [200, "written"],
  [409, "conflict"],
  [422, "refused"],
]);

/**
 * "conflict": the pod has changed since its version was read. "refused": for good. Throws
 * Error for any other response.
 */
export async function patchStatus(
  api: Api,
  pod: PodReference,
  patch: object,
  signal: AbortSignal,
): Promise<"written" | "conflict" | "refused"> {
  const path = `${pathOf(pod)}/status`;
  const change = { method: "PATCH", body: patch } as const;
  const response = await api.send(path, signal, change);
  // A response that breaks off says nothing; the patch may be sent again.
  await response.arrayBuffer();
  const outcome = patchOutcomes.get(response.status);
  if (outcome === undefined) throw new ResponseError(response.status);
  return outcome;
}

function pathOf({ namespace, name }: PodReference): string {
  return podRequest(namespace, name, "get").path;
}
