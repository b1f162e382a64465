/**
 * The devices of a pod's claims, handed out to its networks, each once (devices.md). It
 * decides which device meets a request for a resource or a claim; the API server is asked
 * only if the driver's metadata files do not tell.
 */
import { Code, CniError } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import { plain, quote } from "../linux/text.ts";
import type { ClaimDevice } from "./claim-devices.ts";
import { naturalOrder } from "./natural-order.ts";
import { type ClaimRequest, PodClaims, type Sources } from "./pod-claims.ts";
import type { PodResources } from "./podresources-schema.ts";
import type { TakenDevices } from "./taken-devices.ts";

export interface AllottedDevice {
  id: string;
  /** Names the information file of the device. */
  resource: string;
  /** For the operator: `device plugin`, `claim "nic" of driver "x"`. */
  source: string;
  /** Resource and ID of a device plugin's; of a claim's see `ClaimDevice`. */
  identity: string;
}

export class ClaimAllotment {
  readonly #claims: PodClaims;
  readonly #sources: Sources;
  readonly #taken: TakenDevices;
  readonly #passedOver = new Set<ClaimDevice>();

  constructor(
    containers: PodResources["containers"],
    sources: Sources,
    taken: TakenDevices,
  ) {
    this.#claims = new PodClaims(containers, sources);
    this.#sources = sources;
    this.#taken = taken;
  }

  /** Finds the device by its attributes, else by the claim's name. Throws 7 and 11 of the API server. */
  async takeOfResource(resource: string): Promise<AllottedDevice | undefined> {
    const { devices } = this.#claims;
    const named = devices.filter(
      ({ claim, cdi }) => claim.name === resource && cdi !== undefined,
    );
    const described = () => {
      for (const device of devices)
        if (device.attributes && !device.attributes.resource)
          if (!named.includes(device))
            this.#passOver(device, "k8s.cni.cncf.io/resourceName");
      const matching = devices.filter(
        ({ attributes }) => attributes?.resource === resource,
      );
      return this.#first(matching, resource);
    };
    const found = described();
    if (found) return found;
    try {
      await this.#claims.describe(devices);
    } catch (error) {
      // Without the right to read attributes, a claim's name still decides.
      if (named.length === 0 || isTransient(error)) throw error;
      this.#sources.warn(
        `devices of claim ${quote(resource)} are taken by their CDI names: ${messageOf(error)}`,
      );
    }
    return described() ?? this.#first(named, resource, ({ cdi }) => cdi);
  }

  /** The definition's `resource`, if it names one, only prefers. Throws 7 and 11 of the API server. */
  async takeOfClaim(
    request: ClaimRequest,
    resource: string,
  ): Promise<AllottedDevice | undefined> {
    const devices = await this.#claims.ofRequest(request);
    // A claim may have a GPU beside the network device.
    const forNetworks = () => {
      const described = devices.filter(
        ({ attributes }) => attributes?.resource ?? attributes?.deviceId,
      );
      const matching = described.filter(
        ({ attributes }) => attributes?.resource === resource,
      );
      return matching.length > 0 ? matching : described;
    };
    const of = resource || request.claimName;
    const found = this.#first(forNetworks(), of);
    if (found) return found;
    await this.#claims.describe(devices);
    const known = forNetworks();
    return this.#first(known.length > 0 ? known : devices, of);
  }

  /**
   * In the order of devices.md, of those with an ID: by their attributes, or by the CDI
   * name, as Multus up to 4.3 takes it.
   */
  #first(
    devices: readonly ClaimDevice[],
    resource: string,
    idOf = attributeId,
  ): AllottedDevice | undefined {
    const [found] = devices
      .flatMap((device) => {
        const id = idOf(device);
        if (id === undefined) this.#passOver(device, idAttributes);
        return id === undefined ? [] : [{ id, device }];
      })
      .filter(
        ({ id, device: { identity } }) => !this.#taken.has({ id, identity }),
      )
      .toSorted(
        (a, b) =>
          a.device.container - b.device.container || naturalOrder(a.id, b.id),
      );
    if (!found) return undefined;
    const { id, device } = found;
    const { identity } = device;
    this.#taken.add(identity);
    return {
      id,
      identity,
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

  /** For messages: `claim nic (vf-0, gpu-0)`. */
  texts(): string[] {
    const claims = Map.groupBy(this.#claims.devices, ({ claim }) => claim.name);
    return Array.from(
      claims,
      ([claim, devices]) =>
        `claim ${plain(claim)} (${devices.map(deviceText).join(", ")})`,
    );
  }
}

const idAttributes =
  "k8s.cni.cncf.io/deviceID, resource.kubernetes.io/pciBusID";

function attributeId({ attributes }: ClaimDevice): string | undefined {
  return attributes?.deviceId ?? attributes?.pciBusId;
}

function deviceText({ device, attributes, isUnlisted }: ClaimDevice): string {
  const resource = attributes?.resource;
  if (isUnlisted) return `${plain(device)} of no ResourceSlice of this node`;
  return plain(resource === undefined ? device : `${device} of ${resource}`);
}

/** Code 11 of a server that does not respond, unlike that of a denied right. */
function isTransient(error: unknown): boolean {
  if (!(error instanceof CniError) || error.code !== Code.tryAgainLater)
    return false;
  return !("status" in error && [403, 404].includes(Number(error.status)));
}
