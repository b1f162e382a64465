/**
 * A part of every record of the node: a node has thousands, so each is read once, and
 * again when its file is replaced.
 */
import {
  type DirectoryReading,
  type RecordDirectory,
  isUnchanged,
} from "./record-directory.ts";
import { type AttachmentRecord, RecordError } from "./record.ts";

interface Kept<T> {
  /** Changes whenever the record is replaced; empty for one that is to be read again. */
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

  /**
   * `unreadable` is called once for a record that is damaged or of a newer genie, and for
   * one that the disk fails to return, until it does.
   */
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
    const versions = new Map<string, string>();
    const isChanged = (name: string): boolean => {
      const version = this.#records.versionOf(name) ?? "";
      versions.set(name, version);
      return this.#kept.get(name)?.version !== version;
    };
    let isComplete = true;
    for await (const { name, record, error } of this.#records.all(isChanged)) {
      const version = versions.get(name) ?? "";
      if (record) {
        this.#kept.set(name, { version, value: this.#keep(record, version) });
        continue;
      }
      if (this.#kept.get(name)?.version !== "") this.#unreadable(name, error);
      // The disk failed, or descriptors are scarce: that may pass.
      const mayPass = error instanceof RecordError;
      this.#kept.set(name, { version: mayPass ? "" : version });
      if (mayPass) isComplete = false;
    }
    for (const name of this.#kept.keys())
      if (!versions.has(name)) this.#kept.delete(name);
    this.#last = isComplete ? reading : undefined;
  }
}
