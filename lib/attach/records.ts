/**
 * The directory of attachment records (state.md "The record"): `<dataDir>/attachments`,
 * and `<dataDir>/abandoned` for those that could not be deleted. Names, atomic
 * replacement, fsync, unreadable files. Never /var/lib/cni/results: runtimes treat
 * the files there as theirs (cni-runtime.md R-CACHE-1). The directory must be ours
 * alone: each method throws 5 where others may write to it.
 */
import { CniError } from "../cni/error.ts";
import { isObject, own, parseJson } from "../cni/json.ts";
import { type Result, parseResult, resumeResult } from "../cni/result.ts";
import { latestVersion } from "../cni/version.ts";
import { UnsafeDirectory, errnoOf, messageOf } from "../linux/errno.ts";
import {
  NotAFile,
  TooLarge,
  createFile,
  linkStatusIfAny,
  listIfAny,
  makeOwnDirectory,
  readOwnFileIfAny,
  removeFile,
  requireOwnDirectory,
  writeAll,
} from "../linux/files.ts";
import { Open, close, fsync, open, rename } from "../linux/file-calls.ts";
import { isLonger } from "../linux/text.ts";
import {
  type AttachmentRecord,
  type AttachmentRouting,
  CorruptRecord,
  RecordError,
  boundedText,
  executedIn,
  formatVersion,
  parseRecord,
  recordDepth,
  resultKey,
  textOfRecord,
  withLength,
  withoutLength,
} from "./record.ts";
import type { ResultEntry } from "./record-schema.ts";

/**
 * The files of one record; "gone" only while its namespace is seen to be gone, "deleting"
 * from the beginning of its first DEL, "status" when the agent has written its status.
 */
type Part = "record" | "result" | "gone" | "deleting" | "status";

const suffixes: Record<Part, string> = {
  record: ".json",
  result: ".result.json",
  gone: ".gone",
  deleting: ".deleting",
  status: ".status",
};

/** The suffix of a damaged file. */
const corrupt = ".corrupt";

/**
 * The most bytes that are read: a damaged disk can show a file of any size. Above
 * everything that a genie wrote: 0.1.0 had no bound for a record and wrote 31
 * definitions of 1 MiB, and each of 32 delegates can print 4 MiB.
 */
const maxBytes: Record<Part, number> = {
  record: 64 << 20,
  result: 256 << 20,
  gone: 4096,
  deleting: 0,
  status: 4096,
};

/** Longer names are hashed; a file name has at most 255 bytes. */
const longestName = 200;

/** The directories, with the pattern of a record's file name. */
const directories = {
  attachments: /^(?:[A-Za-z0-9][A-Za-z0-9_.-]*:[^:/]+|[0-9a-f]{64})\.json$/,
  /** With the ADD: several records of one container and interface can be abandoned. */
  abandoned:
    /^(?:[A-Za-z0-9][A-Za-z0-9_.-]*:[^:/]+:[^:/]+|[0-9a-f]{64})\.json$/,
};

/** The keys of a record that are in its file name. */
type Identity = Pick<AttachmentRecord, "containerId" | "ifname"> &
  Partial<Pick<AttachmentRecord, "bootId" | "uptimeMs">>;

/** A record of the directory, or the reason why it cannot be read. */
export type RecordEntry =
  | { name: string; record: AttachmentRecord; error?: undefined }
  | { name: string; record?: undefined; error: unknown };

/** The file of results of a record. */
export interface StoredResults {
  /** By `resultKey`; without missing, incomplete and invalid ones. */
  results: ReadonlyMap<string, Result>;
  /** By interface, for several networks. */
  routing: ReadonlyMap<string, AttachmentRouting>;
  /**
   * Whether ADD completed the attachment of a `resultKey`, as far as is known: it has a
   * result. A file that is there but cannot be read counts for all (state.md "DEL").
   */
  hasCompleted(ifname: string): boolean;
}

export class Records {
  readonly #path: string;
  readonly #kind: keyof typeof directories;
  #isChecked = false;

  constructor(
    dataDir: string,
    directory: keyof typeof directories = "attachments",
  ) {
    this.#path = `${dataDir}/${directory}`;
    this.#kind = directory;
  }

  /** The base name of a record's files: the words that tell it from the others, joined. */
  static nameOf(...words: readonly string[]): string {
    const name = words.join(":");
    // An interface called "eth0.result" would take the name of eth0's result file.
    const isAmbiguous = name.endsWith(".result");
    return isAmbiguous || isLonger(name, longestName)
      ? new Bun.CryptoHasher("sha256").update(name).digest("hex")
      : name;
  }

  /** Writes the record of an ADD. Throws 7 for one that is too large, 5 when it cannot be written: then nothing may be executed. */
  create(record: AttachmentRecord): WrittenFile {
    return this.#write(record, "record", boundedText(record));
  }

  /** As {@link create}, for the rest of a record, which has no size limit. */
  write(record: AttachmentRecord): WrittenFile {
    return this.#write(record, "record", textOfRecord(record));
  }

  /** Results in the order of the attachments, that of the auxiliary chain, and the status that is due. Never made durable: torn only means no prevResult. */
  writeResults(
    record: AttachmentRecord,
    results: readonly (Result | undefined)[],
    routing?: ReadonlyMap<string, AttachmentRouting>,
    auxiliary?: Result,
    status?: DueStatus,
  ): void {
    const entries: object[] = [];
    for (const [i, attachment] of executedIn(record).entries()) {
      const ifname = resultKey(attachment);
      const made = routing?.get(ifname);
      const result =
        (attachment === record.auxiliary ? auxiliary : results[i]) ?? null;
      entries.push({ ifname, result, ...(made && { routing: made }) });
    }
    const json = JSON.stringify({ formatVersion, results: entries, status });
    this.#write(record, "result", withLength(json)).close();
  }

  /**
   * Puts the pod's status into the file of results: it is due, and the agent writes it.
   * Nothing without such a file. Throws 5.
   */
  noteDue(record: Identity, status: DueStatus): void {
    const value = this.#decodedResults(this.#nameOf(record));
    if (!isObject(value)) return;
    const json = JSON.stringify({ ...value, status });
    this.#write(record, "result", withLength(json)).close();
  }

  /** The status that is due by the file of results of that name. Throws for an unreadable file. */
  dueStatus(name: string): DueStatus | undefined {
    const status = own(this.#decodedResults(name), "status");
    return isDueStatus(status) ? status : undefined;
  }

  /** Notes beside the results that the status with this ID was written. */
  noteWritten(record: Identity, id: string): void {
    this.#write(record, "status", id).close();
    // A DEL removed the record meanwhile, and would not come again.
    if (!this.has(record)) remove(this.#pathOf(this.#nameOf(record), "status"));
  }

  /** The ID of the status that was written last. */
  writtenStatus(name: string): string | undefined {
    return this.#readFile(name, "status");
  }

  /** As {@link read}, by the base name of its file. */
  readNamed(name: string): Promise<AttachmentRecord | undefined> {
    return this.#read(name);
  }

  /** The record of this container, interface and, among abandoned ones, ADD; undefined when there is none. Throws `CorruptRecord`, 11 for a newer format, 5 for the disk. */
  read(identity: Identity): Promise<AttachmentRecord | undefined> {
    return this.#read(this.#nameOf(identity));
  }

  /** Whether there is a record, readable or not. */
  has(identity: Identity): boolean {
    const name = this.#nameOf(identity);
    return onDisk("find", () => this.#status(name) !== undefined);
  }

  /**
   * Every record whose name is wanted. Each is read when it is asked for: a node has
   * thousands, and one alone may have 4 MiB (state.md "The record"). A record that
   * disappears meanwhile is left out.
   */
  all(
    isWanted: (name: string) => boolean = () => true,
  ): AsyncGenerator<RecordEntry, void, undefined> {
    const names = onDisk("list", () => this.#names());
    return this.#entries(names.filter((name) => isWanted(name)));
  }

  /** As {@link all}, the oldest file first. */
  oldestFirst(): AsyncGenerator<RecordEntry, void, undefined> {
    const dated = onDisk("list", () =>
      this.#names().map((name) => ({
        name,
        ms: this.#status(name)?.modifiedMs ?? 0,
      })),
    );
    dated.sort((a, b) => a.ms - b.ms);
    return this.#entries(dated.map(({ name }) => name));
  }

  /** A file as it was written is taken for right; of any other, each entry that the schema accepts. Never throws: DEL and CHECK go on without a prevResult. */
  async readResults(record: AttachmentRecord): Promise<StoredResults> {
    const results = new Map<string, Result>();
    const routing = new Map<string, AttachmentRouting>();
    const file = await this.#resultFile(record);
    for (const entry of file?.entries ?? []) {
      const { ifname, result, routing: made } = entry;
      if (made) routing.set(ifname, made);
      if (!isObject(result)) continue;
      try {
        const known = file?.isAsWritten ? resumeResult(result) : undefined;
        results.set(ifname, known ?? parseResult(result, latestVersion));
      } catch {
        // An invalid result.
      }
    }
    // Multus wrote its file when its ADD had completed.
    const isUnknown = record.adopted === true || !file;
    const hasCompleted = (name: string): boolean =>
      isUnknown ||
      file.entries.some((one) => one.ifname === name && one.result !== null);
    return { results, routing, hasCompleted };
  }

  /** Without results the ADD counts as failed. */
  removeResults(record: AttachmentRecord): void {
    remove(this.#pathOf(this.#nameOf(record), "result"));
  }

  /** Moves the results, or all files, to other records; nothing is written anew. */
  move(
    record: AttachmentRecord,
    files: "results" | "everything",
    to: Records,
  ): void {
    const parts: Part[] =
      files === "results" ? ["result"] : ["result", "record"];
    for (const part of parts) {
      const path = this.#pathOf(this.#nameOf(record), part);
      if (!linkStatusIfAny(path)) continue;
      makeOwnDirectory(to.#path);
      replace(path, to.#pathOf(to.#nameOf(record), part));
    }
    if (files === "everything")
      for (const part of ["deleting", "status"] as const)
        remove(this.#pathOf(this.#nameOf(record), part));
  }

  /** The time since which a record's namespace is known to be gone: `uptimeMs` of this boot. */
  goneSince(record: AttachmentRecord): number | undefined {
    try {
      const text = this.#readFile(this.#nameOf(record), "gone");
      return text !== undefined && Number.isFinite(Number(text))
        ? Number(text)
        : undefined;
    } catch (error) {
      if (error instanceof NotAFile) return undefined;
      throw error;
    }
  }

  noteGone(record: AttachmentRecord, uptimeMs: number): void {
    this.#write(record, "gone", String(uptimeMs)).close();
  }

  forgetGone(record: AttachmentRecord): void {
    remove(this.#pathOf(this.#nameOf(record), "gone"));
  }

  /**
   * Notes that a DEL has begun: nothing is attached to that pod any more (agent.md). An
   * empty file, so that a DEL need not write the record; a disk that refuses it refuses
   * every attachment too.
   */
  noteDeleting(record: Identity): void {
    const flags = Open.writeOnly | Open.create | Open.noFollow;
    try {
      close(open(this.#pathOf(this.#nameOf(record), "deleting"), flags, 0o600));
    } catch (cause) {
      if (errnoOf(cause) === undefined) throw CniError.from(cause);
    }
  }

  isDeleting(record: AttachmentRecord): boolean {
    const path = this.#pathOf(this.#nameOf(record), "deleting");
    return record.failures !== undefined || linkStatusIfAny(path) !== undefined;
  }

  /**
   * The result first: a record without result is valid, a result without record is not.
   * A record that loses its note of a DEL has no result either.
   */
  remove(record: Identity): void {
    const name = this.#nameOf(record);
    onDisk("remove", () => {
      for (const base of [`.${name}`, name]) {
        remove(this.#pathOf(base, "result"));
        remove(this.#pathOf(base, "gone"));
        remove(this.#pathOf(base, "status"));
        if (base === name) remove(this.#pathOf(base, "deleting"));
        remove(this.#pathOf(base, "record"));
      }
    });
  }

  /** Removes the notes whose record is gone. */
  removeLone(): void {
    const files = new Set(listIfAny(this.#directory));
    for (const file of files)
      for (const part of ["gone", "deleting", "status"] as const) {
        const name = file.slice(0, -suffixes[part].length);
        if (file.endsWith(suffixes[part]) && !files.has(name + suffixes.record))
          remove(this.#pathOf(name, part));
      }
  }

  /** The containers of temporary files; those that are worked on have a lock. */
  containersOfUnnamed(): ReadonlySet<string> {
    const containers = new Set<string>();
    for (const file of listIfAny(this.#directory)) {
      const [, containerId] = /^\.([^:]+):/.exec(file) ?? [];
      if (containerId && !file.endsWith(corrupt)) containers.add(containerId);
    }
    return containers;
  }

  /** Removes a container's temporary files. */
  removeUnnamed(containerId: string): void {
    for (const file of listIfAny(this.#directory))
      if (file.startsWith(`.${containerId}:`) && !file.endsWith(corrupt))
        remove(`${this.#directory}/${file}`);
  }

  /** Renames the unreadable record of a name and removes its result. */
  setAside(name: string): void {
    onDisk("move aside", () => {
      remove(this.#pathOf(name, "result"));
      remove(this.#pathOf(name, "deleting"));
      remove(this.#pathOf(name, "status"));
      setAside(this.#pathOf(name, "record"));
    });
  }

  /**
   * Time of the last change of a record's file, in milliseconds since 1970; undefined
   * if it is missing.
   */
  lastWritten(name: string): number | undefined {
    return onDisk("read", () => this.#status(name)?.modifiedMs);
  }

  /** Changes whenever the record is replaced; undefined if it is missing. */
  versionOf(name: string): string | undefined {
    const file = onDisk("read", () => this.#status(name));
    return file && `${file.id}:${file.modifiedMs}`;
  }

  get #directory(): string {
    if (!this.#isChecked) requireOwnDirectory(this.#path);
    this.#isChecked = true;
    return this.#path;
  }

  #pathOf(name: string, part: Part): string {
    return `${this.#directory}/${name}${suffixes[part]}`;
  }

  #nameOf({ containerId, ifname, bootId = "", uptimeMs }: Identity): string {
    return this.#kind === "attachments"
      ? Records.nameOf(containerId, ifname)
      : Records.nameOf(containerId, ifname, `${bootId}-${uptimeMs}`);
  }

  #status(name: string) {
    return linkStatusIfAny(this.#pathOf(name, "record"));
  }

  /** Foreign names and temporary files are ignored. */
  #names(): string[] {
    const pattern = directories[this.#kind];
    return listIfAny(this.#directory)
      .filter((file) => pattern.test(file) && !file.endsWith(suffixes.result))
      .map((file) => file.slice(0, -suffixes.record.length));
  }

  async *#entries(
    names: readonly string[],
  ): AsyncGenerator<RecordEntry, void, undefined> {
    for (const name of names) {
      let record: AttachmentRecord | undefined;
      try {
        record = await this.#read(name);
      } catch (error) {
        yield { name, error };
        continue;
      }
      if (record) yield { name, record };
    }
  }

  #readFile(name: string, part: Part): string | undefined {
    return readOwnFileIfAny(this.#pathOf(name, part), maxBytes[part]);
  }

  async #read(name: string): Promise<AttachmentRecord | undefined> {
    let text: string | undefined;
    try {
      text = this.#readFile(name, "record");
    } catch (cause) {
      // Unreadable: renamed as any other.
      if (cause instanceof NotAFile || cause instanceof TooLarge)
        throw new CorruptRecord(cause.message);
      throw recordError("failed to read attachment record", cause);
    }
    if (text === undefined) return undefined;
    const record = await parseRecord(text);
    if (this.#nameOf(record) === name) return record;
    throw new CorruptRecord(
      `it is the record of ${record.containerId}:${record.ifname}`,
    );
  }

  /** undefined if the file is missing. */
  #decodedResults(name: string): unknown {
    const text = this.#readFile(name, "result");
    return text === undefined
      ? undefined
      : parseJson(withoutLength(text) ?? text, recordDepth);
  }

  /** undefined for an unreadable file; no entries for a missing one. */
  async #resultFile(record: AttachmentRecord): Promise<ResultFile | undefined> {
    try {
      const text = this.#readFile(this.#nameOf(record), "result");
      if (text === undefined) return { entries: [], isAsWritten: false };
      const written = withoutLength(text);
      const value = parseJson(written ?? text, recordDepth);
      const entries = own(value, "results");
      if (!Array.isArray(entries)) return undefined;
      if (written !== undefined && areEntries(entries))
        return { entries, isAsWritten: true };
      const { validEntries } = await import("./record-schema.ts");
      return { entries: validEntries(entries), isAsWritten: false };
    } catch {
      return undefined;
    }
  }

  /**
   * Puts a file in place at once or not at all; 0600, made under another name in the
   * same directory. It is durable after `sync` of the returned file.
   */
  #write(record: Identity, part: Part, text: string): WrittenFile {
    const name = this.#nameOf(record);
    try {
      const temporary = this.#pathOf(`.${name}`, part);
      const fd = this.#create(temporary);
      try {
        writeAll(fd, text);
        const path = this.#pathOf(name, part);
        // A failure to rename results fails the ADD, which is rolled back.
        if (part === "result") rename(temporary, path);
        else replace(temporary, path);
      } catch (error) {
        close(fd);
        removeFile(temporary);
        throw error;
      }
      return new WrittenFile(fd, this.#directory);
    } catch (cause) {
      throw recordError(`failed to write attachment ${part}`, cause);
    }
  }

  #create(path: string): number {
    try {
      return createFile(path, 0o600);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "ENOENT") makeOwnDirectory(this.#path);
      else if (errno === "EISDIR") setAside(path);
      else throw error;
      return createFile(path, 0o600);
    }
  }
}

/** A pod's status that is still to be written: annotations of selection.md §7, null to remove one. */
export interface DueStatus {
  /** Another one for each change. */
  id: string;
  annotations: Readonly<Record<string, string | null>>;
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

interface ResultFile {
  entries: readonly ResultEntry[];
  isAsWritten: boolean;
}

function areEntries(values: readonly unknown[]): values is ResultEntry[] {
  for (const value of values)
    if (typeof own(value, "ifname") !== "string") return false;
  return true;
}

/** A file with its final name that may not survive a power loss yet. */
export class WrittenFile {
  readonly #fd: number;
  readonly #directory: string;

  constructor(fd: number, directory: string) {
    this.#fd = fd;
    this.#directory = directory;
  }

  /** Waits for the disk. Throws the errno of the system. */
  sync(): void {
    const directory = open(this.#directory, Open.readOnly | Open.noFollow);
    try {
      fsync(this.#fd);
      fsync(directory);
    } finally {
      close(directory);
      close(this.#fd);
    }
  }

  close(): void {
    close(this.#fd);
  }
}

/** Removes a file; a directory of that name is renamed: it would fail every DEL. */
function remove(path: string): void {
  try {
    removeFile(path);
  } catch (error) {
    if (errnoOf(error) !== "EISDIR") throw error;
    setAside(path);
  }
}

/** Renames a file; a directory of the new name is renamed first. */
function replace(path: string, newPath: string): void {
  try {
    rename(path, newPath);
  } catch (error) {
    if (errnoOf(error) !== "EISDIR") throw error;
    setAside(newPath);
    rename(path, newPath);
  }
}

function setAside(path: string): void {
  try {
    rename(path, path + corrupt);
  } catch (error) {
    // Another genie renamed it meanwhile.
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

function onDisk<T>(action: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw recordError(`failed to ${action} attachment record`, cause);
  }
}

/** A directory that others can write has an error of its own, whatever the action. */
function recordError(problem: string, cause: unknown): CniError {
  return cause instanceof UnsafeDirectory
    ? CniError.from(cause)
    : new RecordError(`${problem}: ${messageOf(cause)}`, cause);
}
