/**
 * The devices of an ADD: which device each element of the choice gets, from what the
 * kubelet has allotted to the pod (devices.md). Loaded only for a choice that names a
 * device, a resource or a claim.
 */
import { invalidConfig } from "../../cni/error.ts";
import type { Kube } from "../../kube/client.ts";
import type { DeviceRequest } from "../../kubelet/allotment.ts";
import type { UsedDevice } from "../../kubelet/taken-devices.ts";
import type { Deadline } from "../../linux/deadline.ts";
import { quote } from "../../linux/text.ts";
import type { Device } from "../../select/attachment.ts";
import type { DefinitionReference } from "../../select/definition-references.ts";
import type { GenieConfig } from "../../select/config.ts";
import type { Log } from "../../state/log-level.ts";
import type { PodReference } from "../../state/record.ts";

/** Takes the next device that meets the request. Throws 7 and 11. */
type TakeDevice = (request: DeviceRequest) => Promise<Device>;

export type OpenDevices = (
  pod: PodReference,
  config: GenieConfig,
  options: {
    api: () => Promise<Kube>;
    deadline: Deadline;
    log(): Log;
    /** The devices of the pod's other networks. */
    inUse: readonly UsedDevice[];
  },
) => Promise<TakeDevice>;

/**
 * In the order of the elements; `resources` are those of their definitions. `refuse`
 * gets requests without effect. Contradictions throw before the kubelet is called. Throws 7
 * and 11.
 */
export async function allotDevices(
  references: readonly DefinitionReference[],
  resources: readonly (string | undefined)[],
  open: (named: readonly UsedDevice[]) => Promise<TakeDevice>,
  refuse: (problem: string) => void,
): Promise<ReadonlyMap<DefinitionReference, Device>> {
  const requests = references.map((reference, i) => {
    const { key, element } = reference;
    const wanted = deviceRequestOf(reference, resources[i]);
    if (wanted && element.deviceId !== undefined)
      refuse(
        `network-attachment-definition ${quote(key)}: "deviceID" is ignored: the ${wanted.claim ? "claim" : "resource"} decides the device`,
      );
    return { reference, wanted, deviceId: element.deviceId };
  });
  const named = requests.flatMap(({ wanted, deviceId: id }) =>
    wanted || id === undefined ? [] : [{ id }],
  );
  const devices = new Map<DefinitionReference, Device>();
  let take: TakeDevice | undefined;
  for (const { reference, wanted, deviceId } of requests) {
    if (wanted) {
      take ??= await open(named);
      devices.set(reference, await take(wanted));
    } else if (deviceId !== undefined) {
      devices.set(reference, { id: deviceId });
    }
  }
  return devices;
}

/** The element decides, else the definition. Throws 7 when they name different resources. */
export function deviceRequestOf(
  { key, element: { resourceName, resourceClaim } }: DefinitionReference,
  ofDefinition: string | undefined,
): DeviceRequest | undefined {
  if (resourceClaim) return { claim: resourceClaim, resource: ofDefinition };
  const resource = resourceName ?? ofDefinition;
  if (resource === undefined) return undefined;
  if (ofDefinition !== undefined && resource !== ofDefinition)
    throw invalidConfig(
      `network-attachment-definition ${quote(key)} has devices of ${quote(ofDefinition)}: the pod asks for ${quote(resource)}`,
    );
  return { resource };
}

/** By the kubelet, the drivers' metadata files, and the API server if these do not suffice. */
export const openDevices: OpenDevices = async (
  pod,
  { podResourcesSocket: socket, nodeName, apiTimeoutMs },
  { api, deadline, log, inUse },
) => {
  const { openAllotment } = await import("../../kubelet/allotment.ts");
  const claims = () => import("../../kube/resource-claims.ts");
  const allotment = await openAllotment(
    pod,
    // As much time as the API server has (state.md "Time").
    { socket, deadline: deadline.atMost(apiTimeoutMs) },
    {
      async slices(driver) {
        if (nodeName === undefined)
          throw invalidConfig(
            `the devices of driver ${quote(driver)} on this node are unknown: nodeName is not configured`,
          );
        const { listSliceDevices } = await claims();
        return listSliceDevices(await api(), nodeName, driver);
      },
      podClaims: async () => (await claims()).getPodClaims(await api(), pod),
      allocation: async (claim) =>
        (await claims()).getAllocation(await api(), claim),
      debug: (message) => log().debug(message),
      warn: (message) => log().warn(message),
    },
    inUse,
  );
  return async (request) => {
    const device = await allotment.take(request);
    log().debug("took a device", { ...device });
    return device;
  };
};
