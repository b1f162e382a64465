/**
 * The living containers of a node: an abandoned attachment is not deleted while one of
 * them may have its resources, because a late DEL must not free those of a new pod
 * (state.md "Never stuck, never forgotten").
 */
import { ownText } from "../../cni/json.ts";
import type { Attachment } from "../../select/attachment.ts";
import { RecordCache } from "../../state/record-cache.ts";
import type { RecordDirectory } from "../../state/record-directory.ts";
import type { AttachmentRecord } from "../../state/record.ts";

export class LivingRecords {
  readonly #containers: RecordCache<LivingContainer>;

  constructor(records: RecordDirectory) {
    this.#containers = new RecordCache(records, livingContainer);
  }

  refresh(): Promise<void> {
    return this.#containers.refresh();
  }

  /** The reason not to delete an attachment of an abandoned record now; undefined without one. */
  claimOf(
    record: AttachmentRecord,
    attachment: Attachment,
  ): string | undefined {
    const pod = podKey(record);
    const devices = devicesOf(attachment);
    for (const living of this.#containers.values()) {
      // The interface may belong to another network of that namespace now.
      if (living.containerId === record.containerId)
        return `container ${record.containerId} is attached again`;
      for (const device of devices)
        if (living.devices.has(device))
          return `device ${device} is container ${living.containerId}'s now`;
      const hasNetwork = living.networks.has(attachment.list.name);
      if (pod !== undefined && living.pod === pod && hasNetwork)
        return `pod ${pod} has network ${attachment.list.name} again`;
    }
    return undefined;
  }
}

interface LivingContainer {
  containerId: string;
  pod: string | undefined;
  networks: ReadonlySet<string>;
  devices: ReadonlySet<string>;
}

function livingContainer(record: AttachmentRecord): LivingContainer {
  const { containerId, attachments } = record;
  return {
    containerId,
    pod: podKey(record),
    networks: new Set(attachments.map(({ list }) => list.name)),
    devices: new Set(attachments.flatMap(devicesOf)),
  };
}

/** Compared by name: plugins that keep state by pod know nothing else. */
function podKey({ pod }: AttachmentRecord): string | undefined {
  return pod && `${pod.namespace}/${pod.name}`;
}

/**
 * Keys that name a device of the node which is moved into the pod: of `host-device`,
 * `sriov` and similar plugins.
 */
const deviceKeys = [
  "deviceID",
  "pciBusID",
  "device",
  "hwaddr",
  "kernelpath",
  "auxDevice",
];

function devicesOf({ list, capabilityArgs }: Attachment): string[] {
  return [capabilityArgs, ...list.plugins].flatMap((conf) =>
    deviceKeys.flatMap((key) => ownText(conf, key) || []),
  );
}
