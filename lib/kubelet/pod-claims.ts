/**
 * The claims of a pod and the descriptions of their devices: from the drivers' metadata
 * files, else from the API server, each at most once (devices.md).
 */
import { invalidConfig } from "../cni/error.ts";
import { plain, quote } from "../linux/text.ts";
import {
  type ClaimDevice,
  addMetadata,
  claimDevicesOf,
  networkAttributes,
} from "./claim-devices.ts";
import type { MetadataRequest } from "./claim-metadata.ts";
import type { PodResources } from "./podresources-schema.ts";

/** `spec.resourceClaims[].name` of the pod, and a request of that claim. */
export interface ClaimRequest {
  claimName: string;
  requestName?: string | undefined;
}

type Claim = ClaimDevice["claim"];

/** Where devices of claims are described. The last three ask the API server. */
export interface Sources {
  metadata(driver: string, claim: Claim): MetadataRequest[];
  /** The devices of a driver on this node. */
  slices(driver: string): Promise<readonly SliceDevice[]>;
  /** The claims of the pod: name in the pod → name of the claim. */
  podClaims(): Promise<ReadonlyMap<string, string>>;
  /** The allocated devices of a claim. */
  allocation(claim: Claim): Promise<readonly AllocatedDevice[]>;
  debug(message: string): void;
  warn(message: string): void;
}

export interface SliceDevice {
  pool: string;
  device: string;
  attributes: unknown;
}

interface AllocatedDevice {
  request: string;
  driver: string;
  pool: string;
  device: string;
  share: string;
}

export class PodClaims {
  /** In the kubelet's order; described as far as something was asked. */
  readonly devices: readonly ClaimDevice[];
  readonly #sources: Sources;
  /** The name in the pod of claims made from a template, by the claim's name. */
  readonly #podNames = new Map<string, string>();
  readonly #listed = new Map<string, Promise<readonly SliceDevice[]>>();
  #podClaims: ReturnType<Sources["podClaims"]> | undefined;

  constructor(containers: PodResources["containers"], sources: Sources) {
    this.devices = claimDevicesOf(containers);
    this.#sources = sources;
    for (const devices of Map.groupBy(
      this.devices,
      ({ driver, claim }) => `${driver} ${claim.name}`,
    ).values()) {
      const [first] = devices;
      const requests = first ? sources.metadata(first.driver, first.claim) : [];
      addMetadata(devices, requests);
      for (const { podClaimName } of requests)
        if (first && podClaimName)
          this.#podNames.set(first.claim.name, podClaimName);
    }
  }

  /** Throws 7 for a claim that the pod does not have, 7 and 11 of the API server. */
  async ofRequest({
    claimName,
    requestName: request,
  }: ClaimRequest): Promise<readonly ClaimDevice[]> {
    const name = await this.#claimName(claimName);
    const devices = this.devices.filter(({ claim }) => claim.name === name);
    const [first] = devices;
    if (request === undefined || !first) return devices;
    // A request with alternatives is followed by the chosen one.
    const matching = () =>
      devices.filter(({ requests }) =>
        [...requests].some(
          (one) => one === request || one.startsWith(`${request}/`),
        ),
      );
    const described = matching();
    const isComplete = devices.every(({ requests }) => requests.size > 0);
    if (described.length > 0 || isComplete) return described;
    for (const one of await this.#sources.allocation(first.claim))
      for (const device of devices)
        if (isSame(device, one)) device.requests.add(one.request);
    return matching();
  }

  /** Reads the attributes of devices that no metadata file describes: one LIST for each driver. */
  async describe(devices: readonly ClaimDevice[]): Promise<void> {
    const unknown = devices.filter(({ attributes }) => !attributes);
    const drivers = new Set(unknown.map(({ driver }) => driver));
    // Before Kubernetes 1.34 the kubelet does not name the driver.
    drivers.delete("");
    await Promise.all(
      Array.from(drivers, async (driver) => {
        const listing =
          this.#listed.get(driver) ?? this.#sources.slices(driver);
        this.#listed.set(driver, listing);
        const listed = await listing;
        for (const device of unknown.filter((one) => one.driver === driver)) {
          const found = listed.find(
            (one) => one.pool === device.pool && one.device === device.device,
          );
          device.isUnlisted = found === undefined;
          device.attributes = networkAttributes(found?.attributes);
        }
      }),
    );
  }

  /** The claim's own name: by its metadata, else by the pod. Throws 7 for a claim that the pod does not have. */
  async #claimName(inPod: string): Promise<string> {
    for (const [name, podName] of this.#podNames)
      if (podName === inPod) return name;
    const names = new Set(this.devices.map(({ claim }) => claim.name));
    const direct = [...names].filter((name) => !this.#podNames.has(name));
    // A single claim that the pod names directly, described by its driver.
    if (
      direct.length === 1 &&
      direct[0] === inPod &&
      this.devices.some(
        ({ claim, requests }) => claim.name === inPod && requests.size > 0,
      )
    )
      return inPod;
    this.#podClaims ??= this.#sources.podClaims();
    const claims = await this.#podClaims;
    const name = claims.get(inPod);
    if (name !== undefined) return name;
    const have = [...claims.keys()].map(plain).join(", ") || "none";
    throw invalidConfig(`the pod has no claim ${quote(inPod)}: have ${have}`);
  }
}

function isSame(device: ClaimDevice, one: AllocatedDevice): boolean {
  return (
    device.driver === one.driver &&
    device.pool === one.pool &&
    device.device === one.device &&
    (device.share === "" || device.share === one.share)
  );
}
