/**
 * Which record is which pod's: a node has thousands of records, so each is read once, and
 * again when its file is replaced.
 */
import type { V1Pod } from "@kubernetes/client-node";
import type { Context } from "../attach/context.ts";
import { isMeant } from "../kube/objects.ts";
import { statusIfAny } from "../linux/files.ts";
import {
  type RecordDirectory,
  recordDirectory,
} from "../state/record-directory.ts";
import { type AttachmentRecord, isSameAdd } from "../state/record.ts";

/** A directory that changed so shortly before it was read may have changed in the same moment again. */
const settledMs = 1000;

/** What is kept of a record. */
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
  readonly #unreadable: (name: string, error: unknown) => void;
  readonly #directory: string;
  /** Of the directory, and when it was read: then nothing has to be read again. */
  #last = { changedMs: 0, readMs: 0 };
  #reading = Promise.resolve();
  readonly #byName = new Map<string, IndexedRecord>();
  readonly #versions = new Map<string, string>();

  /** `unreadable` is called once for a record that is damaged, or of a newer genie: it is left alone. */
  constructor(
    { config, dependencies }: Context,
    unreadable: (name: string, error: unknown) => void = () => {},
  ) {
    this.#records = recordDirectory({ config });
    this.#unreadable = unreadable;
    this.#bootId = dependencies.bootId();
    this.#directory = `${config.dataDir}/attachments`;
  }

  /**
   * Of several records of a pod the newest counts, of this boot only (agent.md). By name as
   * well: the author of a pod can annotate it with the UID of any other one.
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

  /** Of this boot. */
  async all(): Promise<IndexedRecord[]> {
    await this.#refresh();
    return [...this.#byName.values()].filter(
      (one) => one.bootId === this.#bootId,
    );
  }

  /** The whole record, unless it is another one by now. */
  async read(one: IndexedRecord): Promise<AttachmentRecord | undefined> {
    const record = await this.#records.read(one);
    return record && isSameAdd(record, one) ? record : undefined;
  }

  /** One after the other: pods are looked at at once, and one that reads has not all records yet. */
  #refresh(): Promise<void> {
    const read = () => this.#read();
    return (this.#reading = this.#reading.then(read, read));
  }

  async #read(): Promise<void> {
    const readMs = Date.now();
    const changedMs = statusIfAny(this.#directory)?.modifiedMs ?? readMs;
    const { changedMs: before, readMs: lastMs } = this.#last;
    if (changedMs === before && lastMs - before > settledMs) return;
    const gone = new Set(this.#versions.keys());
    const isChanged = (name: string): boolean => {
      gone.delete(name);
      const version = this.#records.versionOf(name) ?? "";
      const isKnown = this.#versions.get(name) === version;
      this.#versions.set(name, version);
      return !isKnown;
    };
    for await (const { name, record, error } of this.#records.all(isChanged)) {
      const version = this.#versions.get(name) ?? "";
      if (record) this.#byName.set(name, indexed(record, version));
      else {
        this.#byName.delete(name);
        this.#unreadable(name, error);
      }
    }
    for (const name of gone) {
      this.#byName.delete(name);
      this.#versions.delete(name);
    }
    this.#last = { changedMs, readMs };
  }
}

function indexed(
  { containerId, ifname, bootId, uptimeMs, pod }: AttachmentRecord,
  version: string,
): IndexedRecord {
  return { containerId, ifname, bootId, uptimeMs, pod, version };
}
