/**
 * The devices that the kubelet allotted to a pod, handed out to its networks in their
 * order, each once (devices.md): those of device plugins here, those of claims by
 * claim-allotment.ts. The other modules for this are loaded with it.
 */
import { Code, CniError, invalidConfig } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import { plain, quote } from "../linux/text.ts";
import { type AllottedDevice, ClaimAllotment } from "./claim-allotment.ts";
import { kubeletDirectories, readClaimMetadata } from "./claim-metadata.ts";
import { TakenDevices, type UsedDevice } from "./taken-devices.ts";
import { naturalOrder } from "./natural-order.ts";
import type { ClaimRequest, Sources } from "./pod-claims.ts";
import { podContainers } from "./podresources.ts";
import type { PodResources } from "./podresources-schema.ts";

/** With both, the claim decides: `resource` is what the definition names. */
export interface DeviceRequest {
  resource?: string | undefined;
  claim?: ClaimRequest | undefined;
}

/** From the kubelet, and the metadata files of DRA drivers on this node. Throws CniError 11. */
export async function openAllotment(
  pod: Parameters<typeof podContainers>[0],
  kubelet: Parameters<typeof podContainers>[1],
  sources: Omit<Sources, "metadata">,
  inUse: readonly UsedDevice[],
): Promise<Allotment> {
  const containers = await podContainers(pod, kubelet);
  const directories = kubeletDirectories(kubelet.socket);
  const metadata: Sources["metadata"] = (driver, claim) =>
    readClaimMetadata(directories, driver, claim);
  return new Allotment(containers, { ...sources, metadata }, inUse);
}

export class Allotment {
  /** Resource → IDs of device plugins' devices. */
  readonly #plugins: ReadonlyMap<string, readonly string[]>;
  readonly #claims: ClaimAllotment;
  readonly #taken: TakenDevices;

  constructor(
    containers: PodResources["containers"],
    sources: Sources,
    inUse: readonly UsedDevice[],
  ) {
    this.#plugins = pluginDevices(containers);
    this.#taken = new TakenDevices(inUse);
    this.#claims = new ClaimAllotment(containers, sources, this.#taken);
  }

  /** The next free device. Throws 7 if there is none, 7 and 11 of the API server. */
  async take({ resource = "", claim }: DeviceRequest): Promise<AllottedDevice> {
    const device = claim
      ? await this.#claims.takeOfClaim(claim, resource)
      : (this.#takeOfPlugin(resource) ?? (await this.#takeOfClaims(resource)));
    if (device) return device;
    const wanted = claim ? claimText(claim) : `resource ${quote(resource)}`;
    throw invalidConfig(
      `no device of ${wanted} is left for this network: the kubelet allotted ${this.#inventory()} to the pod`,
    );
  }

  #takeOfPlugin(resource: string): AllottedDevice | undefined {
    for (const id of this.#plugins.get(resource) ?? []) {
      const identity = `${resource} ${id}`;
      if (this.#taken.has({ id, identity })) continue;
      this.#taken.add(identity);
      return { id, resource, source: "device plugin", identity };
    }
    return undefined;
  }

  async #takeOfClaims(resource: string): Promise<AllottedDevice | undefined> {
    try {
      return await this.#claims.takeOfResource(resource);
    } catch (error) {
      // The resource is a device plugin's: it has no more devices.
      if (this.#plugins.has(resource)) return undefined;
      if (!isInvalidConfig(error)) throw error;
      throw invalidConfig(
        `no device of resource ${quote(resource)} is known: the kubelet allotted ${this.#inventory()} to the pod, and ${messageOf(error)}`,
        error,
      );
    }
  }

  /** `intel.com/a (2), claim nic (vf-0, gpu-0)`. */
  #inventory(): string {
    const plugins = Array.from(
      this.#plugins,
      ([resource, ids]) => `${plain(resource)} (${ids.length})`,
    );
    return [...plugins, ...this.#claims.texts()].join(", ") || "no device";
  }
}

/** In the kubelet's order of containers, in one container by ID, each once. */
function pluginDevices(
  containers: PodResources["containers"],
): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, Set<string>>();
  for (const { devices } of containers)
    for (const [resource, listed] of Map.groupBy(
      devices,
      ({ resourceName }) => resourceName,
    )) {
      const ids = found.get(resource) ?? new Set();
      const here = listed.flatMap(({ deviceIds }) => deviceIds);
      for (const id of here.toSorted(naturalOrder)) ids.add(id);
      found.set(resource, ids);
    }
  return new Map([...found].map(([resource, ids]) => [resource, [...ids]]));
}

/** The configuration lacks a key that a LIST of devices needs: `nodeName`, an API server. */
function isInvalidConfig(error: unknown): boolean {
  return error instanceof CniError && error.code === Code.invalidNetworkConfig;
}

function claimText({ claimName, requestName }: ClaimRequest): string {
  const request = requestName && `, request ${quote(requestName)},`;
  return `claim ${quote(claimName)}${request ?? ""}`;
}
