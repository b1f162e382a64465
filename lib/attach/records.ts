/**
 * The files of attachment records (state.md "The record"): names, atomic
 * replacement, fsync, what is unreadable. It owns `<dataDir>/attachments` and
 * `<dataDir>/abandoned`, and does not know what a record is for. Never /var/lib/cni/results: runtimes
 * treat what is there as theirs (cni-runtime.md R-CACHE-1). The directory must be
 * ours alone: each method throws 5 where others may write to it.
 */
import { CniError } from "../cni/error.ts";
import { UnsafeDirectory, errnoOf, messageOf } from "../linux/errno.ts";
import { isObject, own, parseJson } from "../cni/json.ts";
import { type Result, parseResult, resumeResult } from "../cni/result.ts";
import { latestVersion } from "../cni/version.ts";
import {
  type AttachmentRecord,
  type AttachmentRouting,
  CorruptRecord,
  type RecordEntry,
  RecordError,
  boundedText,
  formatVersion,
  parseRecord,
  recordDepth,
  textOfRecord,
} from "./record.ts";
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
import { Open, close, fsync, open, rename, startSync } from "../linux/libc.ts";
import { isLonger } from "../linux/text.ts";

/** The files of one record; "gone" only while its namespace is seen to be gone. */
export type Part = "record" | "result" | "gone";

const suffixes: Record<Part, string> = {
  record: ".json",
  result: ".result.json",
  gone: ".gone",
};

/**
 * Bytes that are read of a file: a damaged disk can show one of any size. Above
 * what any genie wrote: 0.1.0 had no bound for a record and wrote 31 definitions
 * of 1 MiB, and each of 32 delegates can print 4 MiB.
 */
const maxBytes: Record<Part, number> = {
  record: 64 << 20,
  result: 256 << 20,
  gone: 4096,
};

/** Longer names are hashed; a file name has at most 255 bytes. */
const longestName = 200;

/** The directories of records, with what is a name of one there. */
const directories = {
  attachments: /^(?:[A-Za-z0-9][A-Za-z0-9_.-]*:[^:/]+|[0-9a-f]{64})\.json$/,
  /** With the ADD that it is of: a container can have several there. */
  abandoned:
    /^(?:[A-Za-z0-9][A-Za-z0-9_.-]*:[^:/]+:[^:/]+|[0-9a-f]{64})\.json$/,
};

export type Directory = keyof typeof directories;

export class Store {
  readonly #path: string;
  readonly #recordFile: RegExp;
  #checked = false;

  constructor(dataDir: string, directory: Directory = "attachments") {
    this.#path = `${dataDir}/${directory}`;
    this.#recordFile = directories[directory];
  }

  get #directory(): string {
    if (!this.#checked) requireOwnDirectory(this.#path);
    this.#checked = true;
    return this.#path;
  }

  /** The base name of a record's files: of what tells it from the others, joined. */
  static nameOf(...parts: readonly string[]): string {
    const name = parts.join(":");
    // An interface called "eth0.result" would take the name of eth0's result file.
    const ambiguous = name.endsWith(".result");
    return ambiguous || isLonger(name, longestName)
      ? new Bun.CryptoHasher("sha256").update(name).digest("hex")
      : name;
  }

  /** The text of a file, undefined when there is none. Throws the errno of the system, `NotAFile`, `TooLarge`. */
  read(name: string, part: Part): string | undefined {
    return readOwnFileIfAny(this.#pathOf(name, part), maxBytes[part]);
  }

  has(name: string, part: Part): boolean {
    return linkStatusIfAny(this.#pathOf(name, part)) !== undefined;
  }

  /**
   * Puts a file in place at once or not at all; 0600, made under another name
   * in the same directory. It is durable after `sync` of what is returned, which
   * is to be closed otherwise.
   */
  write(name: string, part: Part, text: string): WrittenFile {
    const temporary = this.#pathOf(`.${name}`, part);
    const fd = this.#create(temporary);
    try {
      writeAll(fd, text);
      rename(temporary, this.#pathOf(name, part));
    } catch (error) {
      close(fd);
      removeFile(temporary);
      throw error;
    }
    return new WrittenFile(fd, this.#directory);
  }

  /** The result goes first: a record without one is whole, a result without a record is litter. */
  remove(name: string): void {
    for (const base of [`.${name}`, name]) {
      removeFile(this.#pathOf(base, "result"));
      removeFile(this.#pathOf(base, "gone"));
      removeFile(this.#pathOf(base, "record"));
    }
  }

  /** One file of a record; nothing when there is none. */
  removePart(name: string, part: Part): void {
    removeFile(this.#pathOf(name, part));
  }

  /** As {@link list}, that was written longest ago first. */
  listOldestFirst(): string[] {
    const dated = this.list().map((name) => ({
      name,
      ms: linkStatusIfAny(this.#pathOf(name, "record"))?.modifiedMs ?? 0,
    }));
    return dated.toSorted((a, b) => a.ms - b.ms).map(({ name }) => name);
  }

  /** Gives a file to another store, under another name there; nothing when there is none. */
  move(name: string, part: Part, to: Store, newName: string): void {
    const path = this.#pathOf(name, part);
    if (!linkStatusIfAny(path)) return;
    makeOwnDirectory(to.#path);
    rename(path, to.#pathOf(newName, part));
  }

  /** When a file was last written, in milliseconds since 1970; undefined when there is none. */
  lastWritten(name: string, part: Part): number | undefined {
    return linkStatusIfAny(this.#pathOf(name, part))?.modifiedMs;
  }

  /** Moves an unreadable record out of the way; what is left of its result is removed. */
  setAside(name: string): void {
    const path = this.#pathOf(name, "record");
    removeFile(this.#pathOf(name, "result"));
    try {
      rename(path, `${path}.corrupt`);
    } catch (error) {
      // Somebody else has moved it in the meantime.
      if (errnoOf(error) !== "ENOENT") throw error;
    }
  }

  /** Removes a container's files that never got their names. */
  removeUnnamed(containerId: string): void {
    for (const file of listIfAny(this.#directory)) {
      if (file.startsWith(`.${containerId}:`)) {
        removeFile(`${this.#directory}/${file}`);
      }
    }
  }

  /** Removes the notes on namespaces whose record is gone. */
  removeLone(): void {
    const files = new Set(listIfAny(this.#directory));
    for (const file of files) {
      const name = file.slice(0, -suffixes.gone.length);
      if (!file.endsWith(suffixes.gone) || files.has(name + suffixes.record)) {
        continue;
      }
      this.removePart(name, "gone");
    }
  }

  /** The base names of all records; foreign names and temporary files are ignored. */
  list(): string[] {
    const files = listIfAny(this.#directory);
    return files
      .filter(
        (file) =>
          this.#recordFile.test(file) && !file.endsWith(suffixes.result),
      )
      .map((file) => file.slice(0, -suffixes.record.length));
  }

  #create(path: string): number {
    try {
      return createFile(path, 0o600);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
      makeOwnDirectory(this.#path);
      return createFile(path, 0o600);
    }
  }

  #pathOf(name: string, part: Part): string {
    return `${this.#directory}/${name}${suffixes[part]}`;
  }
}

/** A file that has its name, but is not yet known to survive a power loss. */
export class WrittenFile {
  readonly #fd: number;
  readonly #directory: string;

  constructor(fd: number, directory: string) {
    this.#fd = fd;
    this.#directory = directory;
  }

  /** Has the disk begin, for whoever has something else to do before `sync`. */
  startSync(): void {
    startSync(this.#fd);
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

/** The last key of a file of results, whose value goes to the end of the file; `length` before it counts its UTF-16 units. */
const resultsKey = '"results":';

/** The records of a node: those of attachments, or those that were abandoned. */
export class Records {
  readonly #store: Store;
  readonly #nameOf: (record: Identity) => string;

  constructor(dataDir: string, directory: Directory = "attachments") {
    this.#store = new Store(dataDir, directory);
    this.#nameOf = directory === "attachments" ? nameOf : nameOfAdd;
  }

  /** The base name of a record's files. */
  static nameOf(containerId: string, ifname: string): string {
    return Store.nameOf(containerId, ifname);
  }

  /** Of an ADD. Throws 7 for one that is too large, 5 when it cannot be written: then nothing may be executed. */
  create(record: AttachmentRecord): WrittenFile {
    return this.#write(record, "record", boundedText(record));
  }

  /** As {@link create}, for what is left of one: it is never too large to be kept. */
  write(record: AttachmentRecord): WrittenFile {
    return this.#write(record, "record", textOfRecord(record));
  }

  /** In the order of the attachments. Never made durable: torn only means no prevResult. */
  writeResults(
    record: AttachmentRecord,
    results: readonly (Result | undefined)[],
    routing?: ReadonlyMap<string, AttachmentRouting>,
  ): void {
    const entries: object[] = [];
    for (const [i, { ifname }] of record.attachments.entries()) {
      const made = routing?.get(ifname);
      const result = results[i] ?? null;
      entries.push({ ifname, result, ...(made && { routing: made }) });
    }
    const text = JSON.stringify(entries);
    this.#write(
      record,
      "result",
      `{"formatVersion":${formatVersion},"length":${text.length},${resultsKey}${text}}`,
    ).close();
  }

  /** undefined when there is none. Throws `CorruptRecord`, 11 for a newer format, 5 for the disk. */
  read(containerId: string, ifname: string): AttachmentRecord | undefined {
    return this.#read(Store.nameOf(containerId, ifname));
  }

  /** Whether there is one, readable or not. */
  has(containerId: string, ifname: string): boolean {
    const name = Store.nameOf(containerId, ifname);
    return onDisk("find", () => this.#store.has(name, "record"));
  }

  /**
   * Every record, read when it is asked for: a node has thousands, and one alone may
   * have 4 MiB (state.md "The record"). What disappears meanwhile is left out, and
   * so is every name that is not `wanted`.
   */
  all(
    wanted: (name: string) => boolean = () => true,
  ): Generator<RecordEntry, void, undefined> {
    const names = onDisk("list", () => this.#store.list());
    return this.#entries(names.filter((name) => wanted(name)));
  }

  /** As {@link all}; what was written longest ago comes first. */
  oldestFirst(): Generator<RecordEntry, void, undefined> {
    return this.#entries(onDisk("list", () => this.#store.listOldestFirst()));
  }

  /** What is there of the same container, interface and, among abandoned ones, ADD. Throws as {@link read}. */
  readLike(record: Identity): AttachmentRecord | undefined {
    return this.#read(this.#nameOf(record));
  }

  *#entries(names: readonly string[]): Generator<RecordEntry, void, undefined> {
    for (const name of names) {
      let record: AttachmentRecord | undefined;
      try {
        record = this.#read(name);
      } catch (error) {
        yield { name, error };
        continue;
      }
      if (record) yield { name, record };
    }
  }

  /**
   * The stored result of each interface; whatever is missing or torn is simply not
   * there. With `asWritten` those are taken for right whose file is as long as it
   * was written: for DEL, which is in a hurry and hands them on to who wrote them.
   */
  results(
    record: AttachmentRecord,
    { asWritten = false } = {},
  ): ReadonlyMap<string, Result> {
    const results = new Map<string, Result>();
    const { entries, unchanged } = this.#resultEntries(record);
    for (const entry of entries) {
      const ifname = own(entry, "ifname");
      const result = own(entry, "result");
      if (typeof ifname !== "string" || !isObject(result)) continue;
      try {
        const known = asWritten && unchanged ? resumeResult(result) : undefined;
        results.set(ifname, known ?? parseResult(result, latestVersion));
      } catch {
        // DEL and CHECK go on without a prevResult.
      }
    }
    return results;
  }

  /** What ADD made for each interface; nothing where the file is missing or torn. */
  routing(record: AttachmentRecord): ReadonlyMap<string, AttachmentRouting> {
    const routing = new Map<string, AttachmentRouting>();
    for (const entry of this.#resultEntries(record).entries) {
      const ifname = own(entry, "ifname");
      const made = own(entry, "routing");
      const [table, addresses] = [own(made, "table"), own(made, "addresses")];
      if (
        typeof ifname === "string" &&
        typeof table === "number" &&
        Array.isArray(addresses)
      )
        routing.set(ifname, { table, addresses: addresses.map(String) });
    }
    return routing;
  }

  /**
   * Whether ADD completed an attachment, as far as is known: it has a result. A file
   * of results that is there and cannot be read counts for all (state.md "DEL").
   */
  completion(record: AttachmentRecord): (ifname: string) => boolean {
    // Multus wrote its file when its ADD had completed.
    if (record.adopted) return () => true;
    try {
      const stored = this.#store.read(this.#nameOf(record), "result");
      if (stored === undefined) return () => false;
      const entries = own(parseJson(stored, recordDepth), "results");
      if (!Array.isArray(entries)) return () => true;
      const completed = new Set<unknown>();
      for (const entry of entries)
        if (own(entry, "result") !== null) completed.add(own(entry, "ifname"));
      return (ifname) => completed.has(ifname);
    } catch {
      return () => true;
    }
  }

  /** Without them the ADD counts as one that failed. */
  removeResults(record: AttachmentRecord): void {
    this.#store.removePart(this.#nameOf(record), "result");
  }

  /** Gives the results, and the record itself where `what` says so, to other records; nothing is written anew. */
  move(
    record: AttachmentRecord,
    what: "results" | "everything",
    to: Records,
  ): void {
    const [from, name] = [this.#nameOf(record), to.#nameOf(record)];
    this.#store.move(from, "result", to.#store, name);
    if (what === "everything")
      this.#store.move(from, "record", to.#store, name);
  }

  /** Since when a record's namespace has been seen to be gone: `uptimeMs` of this boot. */
  goneSince(record: AttachmentRecord): number | undefined {
    const since = this.#store.read(this.#nameOf(record), "gone");
    return since === undefined || !Number.isFinite(Number(since))
      ? undefined
      : Number(since);
  }

  noteGone(record: AttachmentRecord, uptimeMs: number): void {
    this.#write(record, "gone", String(uptimeMs)).close();
  }

  forgetGone(record: AttachmentRecord): void {
    this.#store.removePart(this.#nameOf(record), "gone");
  }

  remove(record: Identity): void {
    onDisk("remove", () => this.#store.remove(this.#nameOf(record)));
  }

  removeLone(): void {
    this.#store.removeLone();
  }

  removeUnnamed(containerId: string): void {
    this.#store.removeUnnamed(containerId);
  }

  setAside(containerId: string, ifname: string): void {
    this.setAsideNamed(Store.nameOf(containerId, ifname));
  }

  /** As {@link setAside}, where a hashed name does not tell whose record it is. */
  setAsideNamed(name: string): void {
    onDisk("move aside", () => this.#store.setAside(name));
  }

  /** When a record's file was last written, in milliseconds since 1970; undefined when there is none. */
  lastWritten(name: string): number | undefined {
    return onDisk("read", () => this.#store.lastWritten(name, "record"));
  }

  /** `unchanged` when the file is of our format and as long as {@link writeResults} made it. */
  #resultEntries(record: AttachmentRecord): {
    entries: unknown[];
    unchanged: boolean;
  } {
    try {
      const stored = this.#store.read(this.#nameOf(record), "result") ?? "{}";
      const value = parseJson(stored, recordDepth);
      const entries = own(value, "results");
      const from = stored.indexOf(resultsKey) + resultsKey.length;
      // Without the brace that closes the file.
      const length = stored.length - from - 1;
      return {
        entries: Array.isArray(entries) ? entries : [],
        unchanged:
          own(value, "length") === length &&
          own(value, "formatVersion") === formatVersion,
      };
    } catch {
      return { entries: [], unchanged: false };
    }
  }

  #write(record: AttachmentRecord, part: Part, json: string): WrittenFile {
    try {
      return this.#store.write(this.#nameOf(record), part, json);
    } catch (cause) {
      throw recordError(`failed to write attachment ${part}`, cause);
    }
  }

  #read(name: string): AttachmentRecord | undefined {
    let stored: string | undefined;
    try {
      stored = this.#store.read(name, "record");
    } catch (cause) {
      // Nobody can read it: moved aside as any other.
      if (cause instanceof NotAFile || cause instanceof TooLarge)
        throw new CorruptRecord(cause.message);
      throw recordError("failed to read attachment record", cause);
    }
    if (stored === undefined) return undefined;
    const record = parseRecord(stored);
    if (this.#nameOf(record) === name) return record;
    throw new CorruptRecord(
      `it is the record of ${record.containerId}:${record.ifname}`,
    );
  }
}

function onDisk<T>(action: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw recordError(`failed to ${action} attachment record`, cause);
  }
}

/** A directory that is not ours alone is told in its own words, whatever was to be done there. */
function recordError(problem: string, cause: unknown): CniError {
  return cause instanceof UnsafeDirectory
    ? CniError.from(cause)
    : new RecordError(`${problem}: ${messageOf(cause)}`, cause);
}

/** What tells a record from others. */
type Identity = Pick<AttachmentRecord, "containerId" | "ifname"> &
  Partial<Pick<AttachmentRecord, "bootId" | "uptimeMs">>;

function nameOf({ containerId, ifname }: Identity): string {
  return Store.nameOf(containerId, ifname);
}

/** With the ADD: of one container and interface several can have been abandoned. */
function nameOfAdd(record: Identity): string {
  const { containerId, ifname, bootId = "", uptimeMs } = record;
  return Store.nameOf(containerId, ifname, `${bootId}-${uptimeMs}`);
}
