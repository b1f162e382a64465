/** The requests for one pod's status: its version, and a PATCH that carries it. */
import type { PodReference } from "../attach/record.ts";
import { isObject, own } from "../cni/json.ts";
import { statusText } from "../kube/api-error.ts";
import { isMeant } from "../kube/objects.ts";
import type { Api } from "../kube/typed-api.ts";

function pathOf({ namespace, name }: PodReference): string {
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`;
}

/** Throws for a pod that is gone, or another: the mirror of a static pod may come yet, and a record that goes ends the tries. */
export async function readPod(
  api: Api,
  pod: PodReference,
  signal: AbortSignal,
): Promise<{ uid: string; resourceVersion: string }> {
  const response = await api.send(pathOf(pod), signal);
  const body: unknown = await response.json().catch(() => undefined);
  if (!response.ok) throw new Error(statusText(response.status));
  const metadata = own(body, "metadata");
  const uid = own(metadata, "uid");
  const resourceVersion = own(metadata, "resourceVersion");
  if (typeof uid !== "string" || typeof resourceVersion !== "string")
    throw new Error("the response is no pod");
  if (isMeant(uid, textsOf(own(metadata, "annotations")), pod.uid))
    return { uid, resourceVersion };
  throw new Error("the pod of that name is another one");
}

function textsOf(value: unknown): Record<string, string> {
  return Object.fromEntries(
    Object.entries(isObject(value) ? value : {}).filter(
      (entry): entry is [string, string] => typeof entry[1] === "string",
    ),
  );
}

/** The status of the response. */
export async function patchStatus(
  api: Api,
  pod: PodReference,
  patch: object,
  signal: AbortSignal,
): Promise<number> {
  const response = await api.send(`${pathOf(pod)}/status`, signal, {
    method: "PATCH",
    headers: { "content-type": "application/merge-patch+json" },
    body: JSON.stringify(patch),
  });
  // A response that breaks off says nothing; the patch may be sent again.
  await response.arrayBuffer();
  return response.status;
}
