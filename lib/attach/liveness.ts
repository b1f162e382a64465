/**
 * What the recorded containers of a node own: a late DEL must not take from a new
 * pod what an old one had (state.md "Never stuck, never forgotten").
 */
import { own } from "../cni/json.ts";
import type { Attachment } from "../select/attachment.ts";
import type { AttachmentRecord, Records } from "./record.ts";

/** Kept of a record: a few words, never the record itself. */
interface Claims {
  containerId: string;
  pod: string | undefined;
  networks: ReadonlySet<string>;
  devices: ReadonlySet<string>;
}

export class LivingRecords {
  readonly #records: Records;
  readonly #claims = new Map<string, Claims>();

  constructor(records: Records) {
    this.#records = records;
  }

  /** Reads what has come since the last time; a record only becomes less. */
  refresh(): void {
    const known = new Set(this.#claims.keys());
    const isNew = (name: string) => !known.delete(name);
    for (const { name, record } of this.#records.all(isNew))
      if (record) this.#claims.set(name, claimsOf(record));
    for (const name of known) this.#claims.delete(name);
  }

  /** Why an attachment of an abandoned record is not to be deleted now; undefined where nobody has it. */
  ownerOf(
    record: AttachmentRecord,
    attachment: Attachment,
  ): string | undefined {
    const pod = podOf(record);
    const devices = devicesOf(attachment);
    for (const claims of this.#claims.values()) {
      // In its namespace the same interface may be another network's.
      if (claims.containerId === record.containerId)
        return `container ${record.containerId} is attached again`;
      for (const device of devices)
        if (claims.devices.has(device))
          return `device ${device} is container ${claims.containerId}'s now`;
      if (
        pod !== undefined &&
        claims.pod === pod &&
        claims.networks.has(attachment.list.name)
      )
        return `pod ${pod} has network ${attachment.list.name} again`;
    }
    return undefined;
  }
}

function claimsOf(record: AttachmentRecord): Claims {
  const { containerId, attachments } = record;
  return {
    containerId,
    pod: podOf(record),
    networks: new Set(attachments.map(({ list }) => list.name)),
    devices: new Set(attachments.flatMap(devicesOf)),
  };
}

/** By its name: what plugins keep by the pod, they keep by that. */
function podOf({ pod }: AttachmentRecord): string | undefined {
  return pod && `${pod.namespace}/${pod.name}`;
}

/** Where plugins find a device of the node that they move into the pod: `host-device`, `sriov` and their like. */
const deviceKeys = [
  "deviceID",
  "pciBusID",
  "device",
  "hwaddr",
  "kernelpath",
  "auxDevice",
];

function devicesOf({ list, capabilityArgs }: Attachment): string[] {
  const places: unknown[] = [capabilityArgs, ...list.plugins];
  return places.flatMap((place) =>
    deviceKeys.flatMap((key) => {
      const value = own(place, key);
      return typeof value === "string" && value !== "" ? [value] : [];
    }),
  );
}
