/**
 * The devices that networks of a pod have already: each device goes to one network
 * (devices.md).
 */

/** A device that is only named, or of a record before 0.2.0, has an ID alone. */
export interface UsedDevice {
  id: string;
  identity?: string;
}

export class TakenDevices {
  readonly #identities = new Set<string>();
  readonly #ids = new Set<string>();

  constructor(used: readonly UsedDevice[]) {
    for (const { id, identity } of used)
      if (identity === undefined) this.#ids.add(id);
      else this.#identities.add(identity);
  }

  has({ id, identity }: Required<UsedDevice>): boolean {
    return this.#identities.has(identity) || this.#ids.has(id);
  }

  add(identity: string): void {
    this.#identities.add(identity);
  }
}
