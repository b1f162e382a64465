/**
 * A part of every record of the node: a node has thousands, so each is read once, and
 * again when its file is replaced.
 */
import {
  type DirectoryReading,
  type RecordDirectory,
  isUnchanged,
} from "./record-directory.ts";
import type { AttachmentRecord } from "./record.ts";

interface Kept<T> {
  /** Changes whenever the record is replaced. */
  version: string;
  /** Absent for a record that cannot be read. */
  value?: T;
}

export class RecordCache<T> {
  readonly #records: RecordDirectory;
  readonly #keep: (record: AttachmentRecord, version: string) => T;
  readonly #unreadable: (name: string, error: unknown) => void;
  readonly #kept = new Map<string, Kept<T>>();
  #last: DirectoryReading | undefined;
  #refreshing = Promise.resolve();

  /** `unreadable` is called once for a record that is damaged, or of a newer genie. */
  constructor(
    records: RecordDirectory,
    keep: (record: AttachmentRecord, version: string) => T,
    unreadable: (name: string, error: unknown) => void = () => {},
  ) {
    this.#records = records;
    this.#keep = keep;
    this.#unreadable = unreadable;
  }

  /** As of the last {@link refresh}. */
  values(): T[] {
    return [...this.#kept.values()].flatMap(({ value }) => value ?? []);
  }

  /** Reads new and changed records. Calls wait for each other: none returns before all are read. */
  refresh(): Promise<void> {
    const read = () => this.#read();
    return (this.#refreshing = this.#refreshing.then(read, read));
  }

  async #read(): Promise<void> {
    const reading = this.#records.reading();
    if (isUnchanged(this.#last, reading)) return;
    const gone = new Set(this.#kept.keys());
    const isChanged = (name: string): boolean => {
      gone.delete(name);
      const version = this.#records.versionOf(name) ?? "";
      if (this.#kept.get(name)?.version === version) return false;
      this.#kept.set(name, { version });
      return true;
    };
    for await (const { name, record, error } of this.#records.all(isChanged)) {
      const version = this.#kept.get(name)?.version ?? "";
      if (record)
        this.#kept.set(name, { version, value: this.#keep(record, version) });
      else this.#unreadable(name, error);
    }
    for (const name of gone) this.#kept.delete(name);
    this.#last = reading;
  }
}
