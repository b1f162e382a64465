/**
 * The networks that a pod's NPWG annotations add: parses them, fetches their
 * definitions, asks the kubelet for their devices (selection.md §6). Loaded only
 * for pods that have such an annotation.
 */
import { parseConf } from "../cni/conflist.ts";
import type { Deadline } from "../linux/deadline.ts";
import { Code, CniError } from "../cni/error.ts";
import { quote } from "../linux/text.ts";
import { own } from "../cni/json.ts";
import type { Kube, NetworkAttachmentDefinition } from "../kube/client.ts";
import {
  type Device,
  type ElementContext,
  requestedNetwork,
} from "../select/definition.ts";
import {
  type NetworkSelectionElement,
  parseElements,
} from "../select/npwg-annotation.ts";
import type { Networks } from "../select/resolve.ts";
import {
  type Annotations,
  type RequestedNetwork,
  defaultNetworkAnnotation,
  networksAnnotation,
  selectAttachments,
} from "../select/select.ts";
import { type Context, ownTypes, readNetworks } from "./context.ts";

export interface DefinedNetworks {
  defaultNetwork?: RequestedNetwork;
  added: RequestedNetwork[];
}

/** Throws 7 for what cannot be or may not be, 11 when the API server or the kubelet does not answer. */
export async function definedNetworks(
  context: Context,
  annotations: Annotations,
  networks: Networks,
  kube: () => Promise<Kube>,
  deadline: Deadline,
): Promise<DefinedNetworks> {
  const byDefault = addressed(
    context,
    annotations,
    defaultNetworkAnnotation,
    context.config.systemNamespace,
  );
  const added = addressed(
    context,
    annotations,
    networksAnnotation,
    context.pod?.namespace,
  );
  if (byDefault.length > 1) {
    throw invalid(
      `annotation ${quote(defaultNetworkAnnotation)} names more than one network`,
    );
  }
  const all = [...byDefault, ...added];
  if (all.length === 0) return { added: [] };
  validateBeforeFetch(context, annotations, networks, byDefault[0], added);
  const definitions = await fetchDefinitions(all, await kube());
  const devices = await allot(context, all, definitions, deadline);
  const { multusConfDir } = context.config;
  let multusNetworks: Networks | undefined;
  const elements: ElementContext = {
    config: context.config,
    networks,
    multusNetworks() {
      if (multusConfDir === "") return undefined;
      return (multusNetworks ??= readNetworks(context, multusConfDir));
    },
    ownTypes: ownTypes(context.config),
    args: context.request.args,
    warn: (message) => context.log().warn(message),
  };
  const requests: RequestedNetwork[] = [];
  for (const { element, namespace, key } of all) {
    const config = definitions.get(key)?.spec?.config ?? "";
    const definition = { namespace, name: element.name, config };
    const device = devices[requests.length];
    requests.push(requestedNetwork(element, definition, device, elements));
  }
  const [first] = requests;
  return byDefault.length === 1 && first
    ? { defaultNetwork: first, added: requests.slice(1) }
    : { added: requests };
}

/** The selection without the definitions: what is wrong anyhow is refused before anybody is asked. */
function validateBeforeFetch(
  { request, config }: Context,
  annotations: Annotations,
  networks: Networks,
  byDefault: Addressed | undefined,
  added: readonly Addressed[],
): void {
  const standIns: RequestedNetwork[] = [];
  for (const one of added) standIns.push(placeholder(one));
  selectAttachments({
    annotations,
    config,
    networks,
    ifname: request.ifname,
    args: request.args,
    defaultNetwork: byDefault && placeholder(byDefault),
    added: standIns,
  });
}

function placeholder({ element, key }: Addressed): RequestedNetwork {
  const { ifname, defaultRoute } = element;
  const list = { ...parseConf({ type: "none" }), name: element.name };
  return {
    list,
    definition: key,
    ...(ifname !== undefined && { ifname }),
    ...(defaultRoute && { asked: { defaultRoute } }),
  };
}

/** An element whose definition is known by name. */
interface Addressed {
  element: NetworkSelectionElement;
  namespace: string;
  /** `<namespace>/<name>` */
  key: string;
}

function addressed(
  { config, pod, log }: Context,
  annotations: Annotations,
  annotation: string,
  defaultNamespace: string | undefined,
): Addressed[] {
  const text = own(annotations, annotation);
  if (typeof text !== "string") return [];
  const source = `annotation ${quote(annotation)}`;
  const { elements, warnings } = parseElements(source, text, config.strict);
  for (const warning of warnings) log().warn(warning);
  const found: Addressed[] = [];
  for (const element of elements) {
    const namespace = element.namespace ?? defaultNamespace;
    if (namespace === undefined) {
      throw invalid(
        `${source}: network ${quote(element.name)} has no namespace, and no pod is known`,
      );
    }
    const key = `${namespace}/${element.name}`;
    const reachable =
      namespace === pod?.namespace ||
      config.globalNamespaces.includes(namespace);
    if (config.namespaceIsolation && !reachable) {
      throw invalid(
        `${source}: network-attachment-definition ${quote(key)} is outside of the pod's namespace: namespaceIsolation allows ${config.globalNamespaces.join(", ") || "no other"}`,
      );
    }
    found.push({ element, namespace, key });
  }
  return found;
}

/** All at once, each one once. */
async function fetchDefinitions(
  wanted: readonly Addressed[],
  kube: Kube,
): Promise<ReadonlyMap<string, NetworkAttachmentDefinition>> {
  const fetched = new Map<string, Promise<NetworkAttachmentDefinition>>();
  for (const { namespace, element, key } of wanted) {
    if (fetched.has(key)) continue;
    fetched.set(key, fetchDefinition(kube, namespace, element.name));
  }
  // The first that fails is told, and nobody is waited for after it.
  await Promise.all(fetched.values());
  const definitions = new Map<string, NetworkAttachmentDefinition>();
  for (const [key, definition] of fetched)
    definitions.set(key, await definition);
  return definitions;
}

async function fetchDefinition(
  kube: Kube,
  namespace: string,
  name: string,
): Promise<NetworkAttachmentDefinition> {
  try {
    return await kube.getDefinition(namespace, name);
  } catch (error) {
    const { ApiError } = await import("../kube/client.ts");
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
    throw new CniError(Code.invalidNetworkConfig, error.message, {
      cause: error,
    });
  }
}

const resourceAnnotation = "k8s.v1.cni.cncf.io/resourceName";

/** A device for each element that has one: the kubelet's for a resource, else the one that is named. */
async function allot(
  { pod, request, config, dependencies }: Context,
  elements: readonly Addressed[],
  definitions: ReadonlyMap<string, NetworkAttachmentDefinition>,
  deadline: Deadline,
): Promise<(Device | undefined)[]> {
  const devices: (Device | undefined)[] = [];
  let take: ((resource: string) => string) | undefined;
  for (const { element, key } of elements) {
    const resource = resourceOf(element, key, definitions.get(key));
    const id = element.deviceId;
    if (resource === undefined) {
      devices.push(id === undefined ? undefined : { id });
      continue;
    }
    if (!pod)
      throw invalid(
        `container ${request.containerId} has no pod that devices are allotted to`,
      );
    take ??= await dependencies.devices(pod, config, deadline);
    devices.push({ id: take(resource), resource });
  }
  return devices;
}

/** The element's resource, else the definition's (devices.md). Throws 7 when they name different ones. */
function resourceOf(
  { resourceName }: NetworkSelectionElement,
  key: string,
  definition: NetworkAttachmentDefinition | undefined,
): string | undefined {
  const annotated = own(definition?.metadata.annotations, resourceAnnotation);
  const resource = typeof annotated === "string" && annotated;
  if (resource && resourceName !== undefined && resource !== resourceName) {
    throw invalid(
      `network-attachment-definition ${quote(key)} has devices of ${quote(resource)}: the pod asks for ${quote(resourceName)}`,
    );
  }
  return resource || resourceName;
}

function invalid(message: string): CniError {
  return new CniError(Code.invalidNetworkConfig, message);
}
