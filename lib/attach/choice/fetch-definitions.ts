/**
 * The definitions that a choice names: from the agent's cache, else from the API server,
 * with the devices that the kubelet allotted (selection.md §6, devices.md). Loaded for
 * pods with definitions only.
 */
import { invalidConfig } from "../../cni/error.ts";
import { own } from "../../cni/json.ts";
import type { NetworkAttachmentDefinition } from "../../kube/client.ts";
import type { Deadline } from "../../linux/deadline.ts";
import { isNamespace } from "../../linux/netns.ts";
import type { Device } from "../../select/attachment.ts";
import type { Choice } from "../../select/choice.ts";
import type { DefinitionReference } from "../../select/definition-references.ts";
import type { SelectionContext } from "../../select/selection-context.ts";
import { definitionNetwork } from "../../select/definition.ts";
import type { NetworkOfDefinition } from "../../select/resolve.ts";
import { cachedDefinition } from "../../state/cached-definition.ts";
import { definitionsSynced, isSynced } from "../../state/synced.ts";
import type { Context, OpenKube } from "../context.ts";
import type { OpenDevices } from "./allotted-devices.ts";

/** Throws 7 for a missing definition or device, 11 if the API server or the kubelet does not respond. */
export async function fetchDefinitions(
  context: Context,
  choice: Choice,
  selection: SelectionContext,
  api: OpenKube,
  deadline: Deadline,
): Promise<NetworkOfDefinition> {
  const objects = await getEachOnce(context, choice, api);
  const resources: (string | undefined)[] = [];
  let hasDevices = false;
  for (const one of choice.definitions) {
    const resource = resourceOf(objects.get(one.key));
    resources.push(resource);
    if (resource !== undefined || namesDevice(one)) hasDevices = true;
  }
  let devices: ReadonlyMap<DefinitionReference, Device> | undefined;
  if (hasDevices) {
    const { allotDevices } = await import("./allotted-devices.ts");
    devices = await allotDevices(
      choice.definitions,
      resources,
      (inUse) => openDevices(context, { api, deadline, inUse }),
      (problem) => {
        if (context.config.strict) throw invalidConfig(problem);
        context.log().warn(problem);
      },
    );
  }
  return (reference) => {
    const config = objects.get(reference.key)?.spec?.config ?? "";
    const device = devices?.get(reference);
    return definitionNetwork(reference, { config, device }, selection);
  };
}

/** The definitions by `<namespace>/<name>`. */
type DefinitionObjects = ReadonlyMap<string, NetworkAttachmentDefinition>;

/** All at once. The first failure is thrown without waiting for the others. */
async function getEachOnce(
  context: Context,
  { definitions, elements }: Choice,
  api: OpenKube,
): Promise<DefinitionObjects> {
  const { config, dependencies } = context;
  const { dataDir } = config;
  const objects = new Map<string, NetworkAttachmentDefinition>();
  const isCached = isSynced(`${dataDir}/${definitionsSynced}`, dependencies);
  const get = async ({ key, namespace, element }: DefinitionReference) => {
    try {
      const kube = await api();
      objects.set(key, await kube.getDefinition(namespace, element.name));
    } catch (error) {
      await refuseMissing(error);
    }
  };
  const sent = new Map<string, Promise<void>>();
  for (const reference of definitions) {
    const { key, namespace, element } = reference;
    if (objects.has(key) || sent.has(key)) continue;
    const known = isCached
      ? cachedDefinition(dataDir, namespace, element.name)
      : undefined;
    if (known) objects.set(key, known);
    else sent.set(key, get(reference));
  }
  if (sent.size === 0) return objects;
  const all = Promise.all(sent.values());
  // Handled where it is awaited.
  all.catch(() => {});
  const isRouted = elements.length > 1 && isNamespace(context.request.netns);
  if (isRouted) await loadRouting(context);
  await all;
  return objects;
}

/** A missing definition is the pod's fault (7), everything else is thrown again. */
async function refuseMissing(error: unknown): Promise<never> {
  const { ApiError } = await import("../../kube/client.ts");
  if (!(error instanceof ApiError) || error.status !== 404) throw error;
  throw invalidConfig(error.message, error);
}

function namesDevice({ element }: DefinitionReference): boolean {
  const { deviceId, resourceName, resourceClaim } = element;
  return (deviceId ?? resourceName ?? resourceClaim) !== undefined;
}

/** The resource that a definition names for its devices (devices.md). */
export function resourceOf(definition: unknown): string | undefined {
  const annotations = own(own(definition, "metadata"), "annotations");
  const resource = own(annotations, resourceAnnotation);
  return typeof resource === "string" && resource.trim() !== ""
    ? resource
    : undefined;
}

const resourceAnnotation = "k8s.v1.cni.cncf.io/resourceName";

/** The devices that the kubelet allotted to the pod. Throws 7 and 11. */
function openDevices(
  { pod, request, config, dependencies, log }: Context,
  options: Omit<Parameters<OpenDevices>[2], "log">,
): ReturnType<OpenDevices> {
  if (pod) return dependencies.devices(pod, config, { ...options, log });
  throw invalidConfig(
    `container ${request.containerId} has no pod that devices are allotted to`,
  );
}

/** The module for the routes of several attachments, while the API server responds. */
async function loadRouting({ dependencies }: Context): Promise<void> {
  // The requests are sent first.
  await dependencies.sleep(0);
  await import("../default-route.ts");
}
