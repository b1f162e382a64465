/**
 * The definitions that a choice names, from the API server, and their devices, from
 * the kubelet (selection.md §6, devices.md). Loaded only for pods that name a definition.
 */
import { Code, CniError } from "../cni/error.ts";
import { own } from "../cni/json.ts";
import type { Kube, NetworkAttachmentDefinition } from "../kube/client.ts";
import type { Deadline } from "../linux/deadline.ts";
import { quote } from "../linux/text.ts";
import type { Device } from "../select/attachment.ts";
import type { Choice, DefinitionReference } from "../select/choice.ts";
import type { Definition } from "../select/definition.ts";
import type { Api, Context } from "./context.ts";

/** Throws 7 for a missing definition or device, 11 when the API server or the kubelet does not answer. */
export async function fetchDefinitions(
  context: Context,
  choice: Choice,
  api: Api,
  deadline: Deadline,
): Promise<ReadonlyMap<DefinitionReference, Definition>> {
  const objects = await getEachOnce(choice.definitions, await api());
  const definitions = new Map<DefinitionReference, Definition>();
  const allotment = new LazyAllotment(context, deadline);
  for (const reference of choice.definitions) {
    const object = objects.get(reference.key);
    const device = await deviceOf(reference, object, allotment);
    const config = object?.spec?.config ?? "";
    definitions.set(reference, { config, device });
  }
  return definitions;
}

/** All at once. The first failure is thrown without waiting for the others. */
async function getEachOnce(
  references: readonly DefinitionReference[],
  kube: Kube,
): Promise<ReadonlyMap<string, NetworkAttachmentDefinition>> {
  const distinct = new Map(references.map((one) => [one.key, one]));
  const entries = Array.from(
    distinct.values(),
    async (reference) =>
      [reference.key, await getDefinition(reference, kube)] as const,
  );
  return new Map(await Promise.all(entries));
}

async function getDefinition(
  { namespace, element }: DefinitionReference,
  kube: Kube,
): Promise<NetworkAttachmentDefinition> {
  try {
    return await kube.getDefinition(namespace, element.name);
  } catch (error) {
    const { ApiError } = await import("../kube/client.ts");
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
    throw new CniError(Code.invalidNetworkConfig, error.message, {
      cause: error,
    });
  }
}

/** The kubelet is asked once, for the first device of a resource. */
class LazyAllotment {
  readonly #context: Context;
  readonly #deadline: Deadline;
  #take: ((resource: string) => string) | undefined;

  constructor(context: Context, deadline: Deadline) {
    this.#context = context;
    this.#deadline = deadline;
  }

  async take(resource: string): Promise<Device> {
    const { pod, request, config, dependencies } = this.#context;
    if (!pod)
      throw invalid(
        `container ${request.containerId} has no pod that devices are allotted to`,
      );
    this.#take ??= await dependencies.devices(pod, config, this.#deadline);
    return { id: this.#take(resource), resource };
  }
}

async function deviceOf(
  { key, element }: DefinitionReference,
  object: NetworkAttachmentDefinition | undefined,
  allotment: LazyAllotment,
): Promise<Device | undefined> {
  const { resourceName, deviceId } = element;
  const annotation = own(object?.metadata.annotations, resourceAnnotation);
  const resource = typeof annotation === "string" && annotation;
  if (resource && resourceName !== undefined && resource !== resourceName)
    throw invalid(
      `network-attachment-definition ${quote(key)} has devices of ${quote(resource)}: the pod asks for ${quote(resourceName)}`,
    );
  const wanted = resource || resourceName;
  if (wanted !== undefined) return allotment.take(wanted);
  return deviceId === undefined ? undefined : { id: deviceId };
}

const resourceAnnotation = "k8s.v1.cni.cncf.io/resourceName";

function invalid(message: string): CniError {
  return new CniError(Code.invalidNetworkConfig, message);
}
