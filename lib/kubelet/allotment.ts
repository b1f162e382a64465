/**
 * Hands out a pod's devices: each request for a resource gets the next one
 * (selection.md §6). It knows nothing of where they come from.
 */
import { CniError, Code } from "../cni/error.ts";
import { quote } from "../linux/text.ts";

/** The devices of one pod, during one ADD. */
export class DeviceAllotment {
  readonly #devices: ReadonlyMap<string, readonly string[]>;
  readonly #taken = new Map<string, number>();

  /** Resource name → device IDs, as `podDevices` returns them. */
  constructor(devices: ReadonlyMap<string, readonly string[]>) {
    this.#devices = devices;
  }

  /** The resource's first device that nobody took. Throws CniError 7 when there is none. */
  take(resource: string): string {
    const devices = this.#devices.get(resource) ?? [];
    const taken = this.#taken.get(resource) ?? 0;
    const device = devices[taken];
    if (device === undefined) {
      throw new CniError(
        Code.invalidNetworkConfig,
        `no device of resource ${quote(resource)} is left for this network: the kubelet allotted ${devices.length} to the pod`,
      );
    }
    this.#taken.set(resource, taken + 1);
    return device;
  }
}
