/**
 * The devices that the kubelet allotted to a pod, handed out to its networks in their
 * order, each once (devices.md). It decides which device answers to a resource or to
 * a request of a claim; the API server is asked only where the node does not say.
 */
import { Code, CniError } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import { plain, quote } from "../linux/text.ts";
import {
  type ClaimDevice,
  addMetadata,
  claimDevicesOf,
  networkAttributes,
} from "./claim-devices.ts";
import type { MetadataRequest } from "./claim-metadata.ts";
import { naturalOrder } from "./natural-order.ts";
import type { PodResources } from "./podresources-schema.ts";

/** `spec.resourceClaims[].name` of the pod, and a request of that claim. */
export interface ClaimRequest {
  claimName: string;
  requestName?: string | undefined;
}

/** With both, the claim decides: `resource` is what the definition names. */
export interface DeviceRequest {
  resource?: string | undefined;
  claim?: ClaimRequest | undefined;
}

export interface AllottedDevice {
  id: string;
  /** Names the information file of the device. */
  resource: string;
  /** For the operator: `device plugin`, `claim "nic" of driver "x"`. */
  source: string;
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

export interface AllocatedDevice {
  request: string;
  driver: string;
  pool: string;
  device: string;
}

interface Candidate {
  id: string;
  container: number;
  device: ClaimDevice;
}

export class Allotment {
  /** Resource → IDs of device plugins' devices. */
  readonly #plugins: ReadonlyMap<string, readonly string[]>;
  readonly #claimed: readonly ClaimDevice[];
  readonly #sources: Sources;
  readonly #taken = new Set<unknown>();
  /** Devices that other attachments of the pod have, by ID. */
  readonly #inUse: ReadonlySet<string>;
  /** The name in the pod of claims made from a template, by the claim's name. */
  readonly #podNames = new Map<string, string>();
  readonly #listed = new Map<string, Promise<readonly SliceDevice[]>>();
  #podClaims: ReturnType<Sources["podClaims"]> | undefined;
  readonly #passedOver = new Set<ClaimDevice>();

  constructor(
    containers: PodResources["containers"],
    sources: Sources,
    inUse: Iterable<string> = [],
  ) {
    this.#plugins = pluginDevices(containers);
    this.#claimed = claimDevicesOf(containers);
    this.#sources = sources;
    this.#inUse = new Set(inUse);
    for (const devices of Map.groupBy(
      this.#claimed,
      ({ driver, claim }) => `${driver} ${claim.name}`,
    ).values()) {
      const [{ driver, claim } = { driver: "", claim: noClaim }] = devices;
      const requests = sources.metadata(driver, claim);
      addMetadata(devices, requests);
      for (const { podClaimName } of requests)
        if (podClaimName) this.#podNames.set(claim.name, podClaimName);
    }
  }

  /** The next free device. Throws 7 if there is none, 7 and 11 of the API server. */
  async take({ resource = "", claim }: DeviceRequest): Promise<AllottedDevice> {
    const device = claim
      ? await this.#ofClaim(claim, resource)
      : ((await this.#ofResource(resource)) ?? this.#ofClaimName(resource));
    if (device) return device;
    const wanted = claim ? claimText(claim) : `resource ${quote(resource)}`;
    throw invalid(
      `no device of ${wanted} is left for this network: the kubelet allotted ${this.#inventory()} to the pod`,
    );
  }

  async #ofResource(resource: string): Promise<AllottedDevice | undefined> {
    for (const id of this.#plugins.get(resource) ?? []) {
      const key = `${resource}\n${id}`;
      if (this.#inUse.has(id) || this.#taken.has(key)) continue;
      this.#taken.add(key);
      return { id, resource, source: "device plugin" };
    }
    const described = () =>
      this.#first(
        this.#claimed.filter((one) => one.attributes?.resource === resource),
        resource,
      );
    const found = described();
    if (found) return found;
    try {
      await this.#describe(this.#claimed);
    } catch (error) {
      const { isPlugin, isClaim } = this.#kindsOf(resource);
      if (isPlugin) return undefined;
      // Without the right to read attributes, a claim's name still decides.
      if (!isClaim || isTransient(error)) throw error;
      this.#sources.warn(
        `devices of claim ${quote(resource)} are taken by their CDI names: ${messageOf(error)}`,
      );
    }
    for (const device of this.#claimed) {
      const { attributes, claim, cdi } = device;
      const isNamed = claim.name === resource && cdi !== undefined;
      if (attributes && !attributes.resource && !isNamed)
        this.#passOver(device, "k8s.cni.cncf.io/resourceName");
    }
    return described();
  }

  #kindsOf(resource: string): { isPlugin: boolean; isClaim: boolean } {
    return {
      isPlugin: this.#plugins.has(resource),
      isClaim: this.#claimed.some(
        ({ claim, cdi }) => claim.name === resource && cdi !== undefined,
      ),
    };
  }

  /** The resource is the name of a claim, the device is in its CDI name (Multus up to 4.3). */
  #ofClaimName(resource: string): AllottedDevice | undefined {
    const candidates = this.#claimed.flatMap((device) =>
      device.claim.name === resource && device.cdi !== undefined
        ? [{ id: device.cdi, container: device.container, device }]
        : [],
    );
    return this.#firstOf(candidates, resource);
  }

  async #ofClaim(
    request: ClaimRequest,
    resource: string,
  ): Promise<AllottedDevice | undefined> {
    const name = await this.#claimName(request.claimName);
    const devices = await this.#ofRequest(
      this.#claimed.filter(({ claim }) => claim.name === name),
      request.requestName,
    );
    await this.#describe(devices);
    const forNetworks = devices.filter(
      ({ attributes }) => attributes?.resource ?? attributes?.deviceId,
    );
    // Of a claim with a network device and a GPU, the network device.
    const matching = devices.filter(
      ({ attributes }) => resource !== "" && attributes?.resource === resource,
    );
    const best = [matching, forNetworks].find(({ length }) => length > 0);
    return this.#first(best ?? devices, resource || request.claimName);
  }

  /** The claim's own name: by its metadata, else by the pod. Throws 7 for a claim that the pod does not have. */
  async #claimName(inPod: string): Promise<string> {
    for (const [name, podName] of this.#podNames)
      if (podName === inPod) return name;
    const names = new Set(this.#claimed.map(({ claim }) => claim.name));
    const direct = [...names].filter((name) => !this.#podNames.has(name));
    // A single claim that the pod names directly, described by its driver.
    if (
      direct.length === 1 &&
      direct[0] === inPod &&
      this.#claimed.some(
        ({ claim, request }) => claim.name === inPod && request !== undefined,
      )
    )
      return inPod;
    this.#podClaims ??= this.#sources.podClaims();
    const claims = await this.#podClaims;
    const name = claims.get(inPod);
    if (name !== undefined) return name;
    const have = [...claims.keys()].map(plain).join(", ") || "none";
    throw invalid(`the pod has no claim ${quote(inPod)}: have ${have}`);
  }

  async #ofRequest(
    devices: readonly ClaimDevice[],
    request: string | undefined,
  ): Promise<readonly ClaimDevice[]> {
    const [first] = devices;
    if (request === undefined || !first) return devices;
    if (devices.some((one) => one.request === undefined))
      for (const one of await this.#sources.allocation(first.claim))
        for (const device of devices)
          if (isSame(device, one)) device.request = one.request;
    // A request with alternatives is followed by the chosen one.
    return devices.filter(
      (one) =>
        one.request === request || one.request?.startsWith(`${request}/`),
    );
  }

  /** Reads the attributes of devices that no metadata file describes: one LIST for each driver. */
  async #describe(devices: readonly ClaimDevice[]): Promise<void> {
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
        for (const device of unknown.filter((one) => one.driver === driver))
          device.attributes = networkAttributes(
            listed.find(
              (one) => one.pool === device.pool && one.device === device.device,
            )?.attributes,
          );
      }),
    );
  }

  /** Of devices whose attributes are known. */
  #first(
    devices: readonly ClaimDevice[],
    resource: string,
  ): AllottedDevice | undefined {
    const candidates = devices.flatMap((device): Candidate[] => {
      const { attributes, container } = device;
      const id = attributes?.deviceId ?? attributes?.pciBusId;
      if (id !== undefined) return [{ id, container, device }];
      this.#passOver(
        device,
        "k8s.cni.cncf.io/deviceID, resource.kubernetes.io/pciBusID",
      );
      return [];
    });
    return this.#firstOf(candidates, resource);
  }

  #firstOf(
    candidates: readonly Candidate[],
    resource: string,
  ): AllottedDevice | undefined {
    const found = candidates
      .filter(
        ({ id, device }) => !this.#inUse.has(id) && !this.#taken.has(device),
      )
      .toSorted(
        (a, b) => a.container - b.container || naturalOrder(a.id, b.id),
      )[0];
    if (!found) return undefined;
    const { id, device } = found;
    this.#taken.add(device);
    return {
      id,
      resource: device.attributes?.resource ?? resource,
      source: `claim ${quote(device.claim.name)}${device.driver && ` of driver ${quote(device.driver)}`}`,
    };
  }

  #passOver(device: ClaimDevice, attribute: string): void {
    if (this.#passedOver.has(device)) return;
    this.#passedOver.add(device);
    this.#sources.debug(
      `${quote(device.device)} of claim ${quote(device.claim.name)} is passed over: it has no attribute ${attribute}`,
    );
  }

  /** `intel.com/a (2), claim nic (vf-0, gpu-0)`. */
  #inventory(): string {
    const claims = Map.groupBy(this.#claimed, ({ claim }) => claim.name);
    const all = [
      ...Array.from(
        this.#plugins,
        ([resource, ids]) => `${plain(resource)} (${ids.length})`,
      ),
      ...Array.from(
        claims,
        ([claim, devices]) =>
          `claim ${plain(claim)} (${devices.map(deviceText).join(", ")})`,
      ),
    ];
    return all.join(", ") || "no device";
  }
}

const noClaim: Claim = { namespace: "", name: "" };

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

function isSame(device: ClaimDevice, one: AllocatedDevice): boolean {
  return (
    device.driver === one.driver &&
    device.pool === one.pool &&
    device.device === one.device
  );
}

function claimText({ claimName, requestName }: ClaimRequest): string {
  const request = requestName && `, request ${quote(requestName)},`;
  return `claim ${quote(claimName)}${request ?? ""}`;
}

function deviceText({ device, attributes }: ClaimDevice): string {
  const resource = attributes?.resource;
  return plain(resource === undefined ? device : `${device} of ${resource}`);
}

/** Code 11 of a server that does not answer, unlike that of a denied right. */
function isTransient(error: unknown): boolean {
  if (!(error instanceof CniError) || error.code !== Code.tryAgainLater)
    return false;
  return !("status" in error && [403, 404].includes(Number(error.status)));
}

function invalid(message: string): CniError {
  return new CniError(Code.invalidNetworkConfig, message);
}
