/** The pods of a node: from the API server, or from a file that lists pods. */
import type { V1Pod } from "@kubernetes/client-node";
import * as v from "valibot";
import { own } from "../../cni/json.ts";
import { object, parse } from "../../cni/schema.ts";
import type { Api } from "../../kube/typed-api.ts";
import { requested } from "../node/node-api.ts";
import { hostNodeName } from "../node/node-name.ts";
import { fromFile, objectsOf } from "./objects-file.ts";
import { podSchema } from "./pod-schema.ts";

/** The pods of this node; of every node without a name. */
export async function listPods(
  { core }: Api,
  node: string | undefined,
): Promise<V1Pod[]> {
  const selector =
    node === undefined ? {} : { fieldSelector: `spec.nodeName=${node}` };
  const list = core.listPodForAllNamespaces(selector);
  const { items } = await requested("list pods", list);
  return items;
}

/** Throws Error for a file that is no list of pods. An empty one is a command that failed in a pipe. */
export function podsInFile(file: string, node: string): Promise<V1Pod[]> {
  return fromFile(file, (text) => {
    const objects = objectsOf(text);
    const pods = objects.filter((one) => (own(one, "kind") ?? "Pod") === "Pod");
    if (pods.length === 0 && objects.length > 0)
      throw new Error("no pod and no list of pods is in it");
    return podsOfNode(
      pods.map((one) => readPod(one)),
      node,
    );
  });
}

/**
 * The pods of this node: a list may have those of every node. `node` may be a guess by the
 * host's name; if no pod is on a node of that name, all pods are taken.
 */
function podsOfNode(pods: V1Pod[], node: string): V1Pod[] {
  const isKnown =
    node !== hostNodeName() || pods.some(({ spec }) => spec?.nodeName === node);
  return pods.filter(
    ({ spec }) => !isKnown || (spec?.nodeName ?? node) === node,
  );
}

/** A pod has a name; the template of a workload has none. */
const named = object({ metadata: object({ name: v.string() }) });

function readPod(item: object): V1Pod {
  const withoutNull: unknown = JSON.parse(
    JSON.stringify(item),
    (_, value: unknown) => value ?? undefined,
  );
  const fail = (problem: string) => new Error(`not a pod: ${problem}`);
  parse(named, withoutNull, fail);
  const { metadata, ...pod } = parse(podSchema, withoutNull, fail);
  const read: unknown = {
    ...pod,
    metadata: { namespace: "default", ...metadata },
  };
  // oxlint-disable-next-line no-unsafe-type-assertion -- the keys that commands read are validated
  return read as V1Pod;
}
