/** Which record is which pod's. */
import type { V1Pod } from "@kubernetes/client-node";
import type { Context } from "../attach/context.ts";
import { isMeant } from "../kube/objects.ts";
import { RecordCache } from "../state/record-cache.ts";
import {
  type RecordDirectory,
  recordDirectory,
} from "../state/record-directory.ts";
import { type AttachmentRecord, isSameAdd } from "../state/record.ts";

/** The part of a record that is kept. */
export interface IndexedRecord extends Pick<
  AttachmentRecord,
  "containerId" | "ifname" | "bootId" | "uptimeMs" | "pod"
> {
  /** Changes whenever the record is replaced. */
  version: string;
}

export class RecordIndex {
  readonly #records: RecordDirectory;
  readonly #bootId: string;
  readonly #cache: RecordCache<IndexedRecord>;

  /** `unreadable` is called once for a record that is damaged, or of a newer genie: it is left alone. */
  constructor(
    { config, dependencies }: Context,
    unreadable?: (name: string, error: unknown) => void,
  ) {
    this.#records = recordDirectory({ config });
    this.#bootId = dependencies.bootId();
    this.#cache = new RecordCache(this.#records, indexed, unreadable);
  }

  /**
   * The newest record of a pod, of this boot (agent.md). Found by name as well: the author
   * of a pod can annotate it with the UID of any other one.
   */
  async newest({ metadata }: V1Pod): Promise<IndexedRecord | undefined> {
    const { namespace, name, uid = "", annotations = {} } = metadata ?? {};
    let newest: IndexedRecord | undefined;
    for (const one of await this.all()) {
      const { pod } = one;
      if (!pod || pod.namespace !== namespace || pod.name !== name) continue;
      if (!isMeant(uid, annotations, pod.uid)) continue;
      if (!newest || one.uptimeMs >= newest.uptimeMs) newest = one;
    }
    return newest;
  }

  /** The records of this boot. */
  async all(): Promise<IndexedRecord[]> {
    await this.#cache.refresh();
    return this.#cache.values().filter(({ bootId }) => bootId === this.#bootId);
  }

  /** The whole record, unless it is another one by now. */
  async read(one: IndexedRecord): Promise<AttachmentRecord | undefined> {
    const record = await this.#records.read(one);
    return record && isSameAdd(record, one) ? record : undefined;
  }
}

function indexed(
  { containerId, ifname, bootId, uptimeMs, pod }: AttachmentRecord,
  version: string,
): IndexedRecord {
  return { containerId, ifname, bootId, uptimeMs, pod, version };
}
