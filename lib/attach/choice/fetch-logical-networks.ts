/**
 * The logical networks of a pod (selection.md §9): reads the custom resources that its
 * annotation `networks` names, each once and all concurrently. Loaded for such pods.
 */
import { invalidConfig } from "../../cni/error.ts";
import type { JsonObject } from "../../cni/json.ts";
import { ApiError, type Kube, objectRequest } from "../../kube/client.ts";
import { parseSpec } from "../../kube/objects.ts";
import type { GivenNetworks } from "../../select/selection-context.ts";
import { parseNetworks } from "../../select/cni-annotation.ts";
import { logicalNetwork, parseLogical } from "../../select/logical-network.ts";
import type { Networks } from "../../select/node-networks.ts";
import type { Context } from "../context.ts";

/** Throws 7 for a missing or invalid network, 11 if the API server does not provide it. */
export async function fetchLogicalNetworks(
  { pod, config }: Context,
  annotation: string,
  networks: Networks,
  api: () => Promise<Kube>,
): Promise<GivenNetworks> {
  const source = 'annotation "networks"';
  const requests = parseNetworks(source, annotation);
  if (!pod)
    throw invalidConfig(
      `${source} asks for logical networks, and no pod is known`,
    );
  const specOf = specReader(await api(), pod.namespace);
  const found = requests.map(async (request) => {
    const key = `${pod.namespace}/${request.name}`;
    const logical = parseLogical(
      await specOf("logicalnetworks", request.name),
      key,
    );
    const { physicalNet } = logical;
    const physical = physicalNet
      ? {
          key: `${pod.namespace}/${physicalNet}`,
          spec: await specOf("physicalnetworks", physicalNet),
        }
      : undefined;
    return { request, key, logical, physical };
  });
  try {
    const all = await Promise.all(found);
    return {
      networks: all.map((one) => logicalNetwork(one, networks, config)),
      isReported: false,
    };
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
    throw invalidConfig(error.message, error);
  }
}

/** Reads each object once. */
function specReader(kube: Kube, namespace: string) {
  const specs = new Map<string, Promise<unknown>>();
  return (resource: NetworkResource, name: string) => {
    const path = `${resource}/${name}`;
    const spec = specs.get(path) ?? getSpec(kube, resource, namespace, name);
    specs.set(path, spec);
    return spec;
  };
}

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

type NetworkResource = keyof typeof resources;

/** The `spec` of an object, not validated. Throws as `Kube.getPod`. */
async function getSpec(
  kube: Kube,
  resource: NetworkResource,
  namespace: string,
  name: string,
): Promise<JsonObject> {
  const { verb, unknown } = resources[resource];
  const unknownKind = `${unknown}: the cluster has no CustomResourceDefinition ${resource}.${group}`;
  const kind = {
    verb,
    api: `/apis/${group}/v1`,
    plural: resource,
    unknownKind,
  };
  const request = objectRequest(kind, namespace, name);
  return parseSpec(await kube.get(request), request.action);
}
