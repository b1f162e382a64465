/**
 * The devices of a pod's claims (Dynamic Resource Allocation, devices.md): the kubelet's
 * list of them, and their attributes that concern a network.
 */
import { own, ownText } from "../cni/json.ts";
import type { MetadataRequest } from "./claim-metadata.ts";
import type { PodResources } from "./podresources-schema.ts";

export interface ClaimDevice {
  /** The same for a device, or a share of it, that several claims have. */
  identity: string;
  claim: { namespace: string; name: string };
  driver: string;
  pool: string;
  device: string;
  /** Empty for a whole device. */
  share: string;
  /** The index of its first container. */
  container: number;
  /** The part of its CDI name after `=`; Multus up to 4.3 takes it for the device. */
  cdi?: string;
  /** undefined: not known yet. */
  attributes?: NetworkAttributes;
  /** The driver's ResourceSlices of this node were read, and none has it. */
  isUnlisted?: boolean;
  /**
   * `<request>`, or `<request>/<subrequest>`; empty: not known yet. Requests with
   * adminAccess can have a device that another one has.
   */
  readonly requests: Set<string>;
}

/** The attributes of a device that concern a network. */
interface NetworkAttributes {
  resource?: string | undefined;
  deviceId?: string | undefined;
  pciBusId?: string | undefined;
}

/** Reads the attributes of a ResourceSlice or a metadata file: `{"<name>": {"string": "…"}}`. */
export function networkAttributes(attributes: unknown): NetworkAttributes {
  const text = (name: string) =>
    ownText(own(attributes, name), "string") || undefined;
  return {
    resource: text("k8s.cni.cncf.io/resourceName"),
    deviceId: text("k8s.cni.cncf.io/deviceID"),
    pciBusId: text("resource.kubernetes.io/pciBusID"),
  };
}

/** In the kubelet's order, each once: containers may share a claim. */
export function claimDevicesOf(
  containers: PodResources["containers"],
): ClaimDevice[] {
  const found = new Map<string, ClaimDevice>();
  for (const [container, { dynamicResources }] of containers.entries())
    for (const one of dynamicResources) {
      const claim = { namespace: one.claimNamespace, name: one.claimName };
      for (const { cdiName, ...listed } of listedDevices(one.claimResources)) {
        const { driver, pool, device, share } = listed;
        const identity = [driver, pool, device, share].join(" ").trimEnd();
        const key = `${claim.name}\n${identity}`;
        if (found.has(key)) continue;
        const cdi = cdiName?.slice(cdiName.indexOf("=") + 1);
        const requests = new Set<string>();
        found.set(key, {
          identity,
          claim,
          ...listed,
          requests,
          container,
          ...(cdi && { cdi }),
        });
      }
    }
  return [...found.values()];
}

type ListedDevice = Pick<
  ClaimDevice,
  "driver" | "pool" | "device" | "share"
> & { cdiName: string | undefined };

type ClaimResources =
  PodResources["containers"][number]["dynamicResources"][number]["claimResources"];

/** The devices of a claim in one container, each with its CDI name. */
function* listedDevices(resources: ClaimResources): Generator<ListedDevice> {
  // The kubelet repeats the CDI names of a driver's devices with each next one.
  const known = new Set<string>();
  const used = new Set<string>();
  for (const one of resources) {
    const { driverName: driver, poolName: pool, shareId: share } = one;
    const names = one.cdiDevices.map(({ name }) => name);
    const added = names.filter((name) => isDevice(name) && !known.has(name));
    for (const name of names) known.add(name);
    if (one.deviceName === "") {
      // Before Kubernetes 1.34 devices have no names of their own.
      for (const cdiName of added) {
        used.add(cdiName);
        yield { driver, pool, device: cdiName, share, cdiName };
      }
      continue;
    }
    // Some drivers list all names with each device.
    const candidates = [...added, ...names.filter(isDevice)];
    const cdiName = candidates.find((name) => !used.has(name));
    if (cdiName !== undefined) used.add(cdiName);
    yield { driver, pool, device: one.deviceName, share, cdiName };
  }
}

/** Whether it is a device: not the CDI device with which a driver mounts its metadata file (KEP-5304). */
function isDevice(cdiName: string): boolean {
  return cdiName.includes("=") && !/^[^=]*\/metadata=/.test(cdiName);
}

/**
 * Adds the descriptions of the drivers' metadata files. They know no shares, so each share
 * may be of any of its device's requests.
 */
export function addMetadata(
  devices: readonly ClaimDevice[],
  requests: readonly MetadataRequest[],
): void {
  for (const { name, devices: described } of requests)
    for (const { driver, pool, name: device, attributes } of described)
      for (const one of devices) {
        if (one.driver !== driver || one.pool !== pool || one.device !== device)
          continue;
        one.requests.add(name);
        if (attributes) one.attributes = networkAttributes(attributes);
      }
}
