/**
 * The living containers of a node: an abandoned attachment is not deleted while one of
 * them may have its resources (state.md "Never stuck, never forgotten").
 */
import { own } from "../cni/json.ts";
import type { Attachment } from "../select/attachment.ts";
import type { RecordDirectory } from "../state/record-directory.ts";
import type { AttachmentRecord } from "../state/record.ts";

/** The recorded containers of a node: a late DEL must not free the resources of a new pod. */
export class LivingRecords {
  readonly #records: RecordDirectory;
  readonly #containers = new Map<string, LivingContainer>();

  constructor(records: RecordDirectory) {
    this.#records = records;
  }

  /** Reads new and changed records only. */
  async refresh(): Promise<void> {
    const gone = new Set(this.#containers.keys());
    const isChanged = (name: string) =>
      !gone.delete(name) ||
      this.#containers.get(name)?.version !== this.#records.versionOf(name);
    for await (const { name, record } of this.#records.all(isChanged))
      if (record)
        this.#containers.set(name, {
          ...livingContainer(record),
          version: this.#records.versionOf(name),
        });
    for (const name of gone) this.#containers.delete(name);
  }

  /** The reason not to delete an attachment of an abandoned record now; undefined without one. */
  claimOf(
    record: AttachmentRecord,
    attachment: Attachment,
  ): string | undefined {
    const pod = podOf(record);
    const devices = devicesOf(attachment);
    for (const living of this.#containers.values()) {
      // In its namespace the same interface may be another network's.
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

/** A recorded container, without the record itself: a node has thousands. */
interface LivingContainer {
  /** Of its record: a running pod can get another network. */
  version: string | undefined;
  containerId: string;
  pod: string | undefined;
  networks: ReadonlySet<string>;
  devices: ReadonlySet<string>;
}

function livingContainer(
  record: AttachmentRecord,
): Omit<LivingContainer, "version"> {
  const { containerId, attachments } = record;
  return {
    containerId,
    pod: podOf(record),
    networks: new Set(attachments.map(({ list }) => list.name)),
    devices: new Set(attachments.flatMap(devicesOf)),
  };
}

/** Compared by name: plugins that keep state by pod know nothing else. */
function podOf({ pod }: AttachmentRecord): string | undefined {
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
    deviceKeys.flatMap((key) => {
      const value = own(conf, key);
      return typeof value === "string" && value !== "" ? [value] : [];
    }),
  );
}
