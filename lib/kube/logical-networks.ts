/**
 * CNI-Genie's custom resources (selection.md §9). Loaded for pods that name logical
 * networks.
 */
import type { JsonObject } from "../cni/json.ts";
import { quote } from "../linux/text.ts";
import { type Kube, segment } from "./client.ts";
import { parseSpec } from "./objects.ts";

const group = "alpha.network.k8s.io";

const resources = {
  logicalnetworks: {
    verb: "get logical network",
    unknown: "the kind Logicalnetwork is not installed",
  },
  physicalnetworks: {
    verb: "get physical network",
    unknown: "the kind Physicalnetwork is not installed",
  },
} as const;

export type NetworkResource = keyof typeof resources;

/** The `spec` of an object, not validated. Throws as `Kube.getPod`. */
export async function getSpec(
  kube: Kube,
  resource: NetworkResource,
  namespace: string,
  name: string,
): Promise<JsonObject> {
  const { verb, unknown } = resources[resource];
  const action = () => `${verb} ${quote(`${namespace}/${name}`)}`;
  const path = `/apis/${group}/v1/namespaces/${segment(namespace, action)}/${resource}/${segment(name, action)}`;
  const unknownKind = `${unknown}: the cluster has no CustomResourceDefinition ${resource}.${group}`;
  const subject = { name, unknownKind };
  return parseSpec(await kube.get({ path, action, subject }), action);
}
