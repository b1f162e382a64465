/**
 * The whole directory of records: lists and dates, notes and temporary files beside them. For
 * GC, the commands, the agent and changes of a running pod: an ADD or DEL of an ordinary
 * pod does not load it.
 */
import { isObject, own } from "../cni/json.ts";
import {
  UnreadableFile,
  linkStatusIfAny,
  listIfAny,
  statusIfAny,
} from "../linux/files.ts";
import { makeOwnDirectory } from "../linux/own-files.ts";
import type { AttachmentRecord } from "./record.ts";
import { decodeWithLength, withLength } from "./record-text.ts";
import {
  type RecordIdentity,
  type RecordPart,
  Records,
  suffixes,
} from "./records.ts";
import type { DueStatus } from "./stored-results.ts";
import { corrupt, onDisk, remove, replace } from "./record-files.ts";

/** A record of the directory, or the reason why it cannot be read. */
export type RecordEntry =
  | { name: string; record: AttachmentRecord; error?: undefined }
  | { name: string; record?: undefined; error: unknown };

/** One look at the directory, for {@link isUnchanged}. */
export interface DirectoryReading {
  /** Milliseconds since 1970: the look, and the last change before it. */
  readMs: number;
  changedMs: number;
}

/** A directory that changed so shortly before it was read may have changed in the same moment again. */
const settledMs = 1000;

/** Whether no record was added, removed or replaced since the earlier look. */
export function isUnchanged(
  earlier: DirectoryReading | undefined,
  { changedMs }: DirectoryReading,
): boolean {
  return (
    earlier?.changedMs === changedMs && earlier.readMs - changedMs > settledMs
  );
}

/** The patterns of a record's file name. */
const names = {
  attachments: /^(?:[A-Za-z0-9][A-Za-z0-9_.-]*:[^:/]+|[0-9a-f]{64})\.json$/,
  abandoned:
    /^(?:[A-Za-z0-9][A-Za-z0-9_.-]*:[^:/]+:[^:/]+|[0-9a-f]{64})\.json$/,
};

interface DataContext {
  config: { dataDir: string };
}

export function recordDirectory({ config }: DataContext): RecordDirectory {
  return new RecordDirectory(config.dataDir);
}

/** Its abandoned records (state.md "Never stuck, never forgotten"). */
export function abandonedRecords({ config }: DataContext): RecordDirectory {
  return new RecordDirectory(config.dataDir, "abandoned");
}

export class RecordDirectory extends Records {
  /**
   * Puts the pod's status into the file of results: it is due, and the agent writes it.
   * Nothing without such a file. Throws 5.
   */
  noteDue(record: RecordIdentity, status: DueStatus): void {
    const value = this.#decodedResults(this.baseNameOf(record));
    if (!isObject(value)) return;
    const json = JSON.stringify({ ...value, status });
    this.writePart(record, "result", withLength(json)).close();
  }

  /** The status that is due by the file of results of that name. Throws for an unreadable file. */
  dueStatus(name: string): DueStatus | undefined {
    const status = own(this.#decodedResults(name), "status");
    return isDueStatus(status) ? status : undefined;
  }

  /** Notes beside the results that the status with this ID was written. */
  noteWritten(record: RecordIdentity, id: string): void {
    this.writePart(record, "status", id).close();
    // A DEL removed the record meanwhile, and would not come again.
    if (!this.has(record))
      remove(this.pathOf(this.baseNameOf(record), "status"));
  }

  /** The ID of the status that was written last. */
  writtenStatus(name: string): string | undefined {
    return this.readPart(name, "status");
  }

  /** Taken before the records are read. Throws as {@link all}. */
  reading(readMs = Date.now()): DirectoryReading {
    const status = onDisk("list", () => statusIfAny(this.directory));
    return { readMs, changedMs: status?.modifiedMs ?? readMs };
  }

  /**
   * Every record whose name is wanted. Each is read when it is asked for: a node has
   * thousands, and one alone may have 4 MiB (state.md "The record"). A record that
   * disappears meanwhile is left out.
   */
  all(
    isWanted: (name: string) => boolean = () => true,
  ): AsyncGenerator<RecordEntry, void, undefined> {
    const found = onDisk("list", () => this.names());
    return this.#entries(found.filter((name) => isWanted(name)));
  }

  /** {@link all}, the oldest file first. */
  oldestFirst(): AsyncGenerator<RecordEntry, void, undefined> {
    const dated = onDisk("list", () =>
      this.names().map((name) => ({
        name,
        ms: this.statusOf(name)?.modifiedMs ?? 0,
      })),
    );
    dated.sort((a, b) => a.ms - b.ms);
    return this.#entries(dated.map(({ name }) => name));
  }

  /** Moves the results, or all files, to other records; nothing is written anew. */
  move(
    record: AttachmentRecord,
    files: "results" | "everything",
    to: RecordDirectory,
  ): void {
    const parts: RecordPart[] =
      files === "results" ? ["result"] : ["result", "record"];
    for (const part of parts) {
      const path = this.pathOf(this.baseNameOf(record), part);
      if (!linkStatusIfAny(path)) continue;
      makeOwnDirectory(to.path);
      replace(path, to.pathOf(to.baseNameOf(record), part));
    }
    if (files === "everything")
      for (const part of ["deleting", "status"] as const)
        remove(this.pathOf(this.baseNameOf(record), part));
  }

  /** The time since which a record's namespace is known to be gone: `uptimeMs` of this boot. */
  goneSince(record: AttachmentRecord): number | undefined {
    try {
      const text = this.readPart(this.baseNameOf(record), "gone");
      return text !== undefined && Number.isFinite(Number(text))
        ? Number(text)
        : undefined;
    } catch (error) {
      if (error instanceof UnreadableFile) return undefined;
      throw error;
    }
  }

  noteGone(record: AttachmentRecord, uptimeMs: number): void {
    this.writePart(record, "gone", String(uptimeMs)).close();
  }

  forgetGone(record: AttachmentRecord): void {
    remove(this.pathOf(this.baseNameOf(record), "gone"));
  }

  isDeleting(record: AttachmentRecord): boolean {
    const path = this.pathOf(this.baseNameOf(record), "deleting");
    return record.failures !== undefined || linkStatusIfAny(path) !== undefined;
  }

  /** Removes the notes whose record is gone. */
  removeLoneNotes(): void {
    const files = new Set(listIfAny(this.directory));
    for (const file of files)
      for (const part of ["gone", "deleting", "status"] as const) {
        const name = file.slice(0, -suffixes[part].length);
        if (file.endsWith(suffixes[part]) && !files.has(name + suffixes.record))
          remove(this.pathOf(name, part));
      }
  }

  /** The containers of temporary files; those that are worked on have a lock. */
  containersOfTemporaryFiles(): ReadonlySet<string> {
    const containers = new Set<string>();
    for (const file of listIfAny(this.directory)) {
      const [, containerId] = /^\.([^:]+):/.exec(file) ?? [];
      if (containerId && !file.endsWith(corrupt)) containers.add(containerId);
    }
    return containers;
  }

  removeTemporaryFiles(containerId: string): void {
    for (const file of listIfAny(this.directory))
      if (file.startsWith(`.${containerId}:`) && !file.endsWith(corrupt))
        remove(`${this.directory}/${file}`);
  }

  /**
   * Milliseconds between the last change of a record's file and `nowMs`, also if the clock
   * was set back since; undefined if the file is missing.
   */
  ageOf(name: string, nowMs: number): number | undefined {
    const writtenMs = onDisk("read", () => this.statusOf(name)?.modifiedMs);
    return writtenMs === undefined ? undefined : Math.abs(nowMs - writtenMs);
  }

  /** Changes whenever the record is replaced; undefined if it is missing. */
  versionOf(name: string): string | undefined {
    const file = onDisk("read", () => this.statusOf(name));
    return file && `${file.id}:${file.modifiedMs}`;
  }

  /** The names of all records, without temporary files and files of others. Throws SystemError. */
  names(): string[] {
    const pattern = names[this.kind];
    return listIfAny(this.directory)
      .filter((file) => pattern.test(file) && !file.endsWith(suffixes.result))
      .map((file) => file.slice(0, -suffixes.record.length));
  }

  async *#entries(
    found: readonly string[],
  ): AsyncGenerator<RecordEntry, void, undefined> {
    for (const name of found) {
      let record: AttachmentRecord | undefined;
      try {
        record = await this.readNamed(name);
      } catch (error) {
        yield { name, error };
        continue;
      }
      if (record) yield { name, record };
    }
  }

  /** undefined if the file is missing. */
  #decodedResults(name: string): unknown {
    const text = this.readPart(name, "result");
    return text === undefined ? undefined : decodeWithLength(text).value;
  }
}

function isDueStatus(value: unknown): value is DueStatus {
  const annotations = own(value, "annotations");
  return (
    typeof own(value, "id") === "string" &&
    isObject(annotations) &&
    Object.values(annotations).every(
      (text) => text === null || typeof text === "string",
    )
  );
}
