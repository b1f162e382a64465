/**
 * What an attachment record says and how it is read again (state.md "The
 * record"). DEL, CHECK and GC use nothing else; the files are `store`'s matter.
 */
import { Code, CniError } from "../cni/error.ts";
import { UnsafeDirectory, messageOf } from "../linux/errno.ts";
import { NotAFile, TooLarge } from "../linux/files.ts";
import { isObject, maxDepth, own, parseJson } from "../cni/json.ts";
import { type Result, parseResult, resumeResult } from "../cni/result.ts";
import { bytesOf, isLonger } from "../linux/text.ts";
import { latestVersion } from "../cni/version.ts";
import type { Attachment } from "../select/select.ts";
import { faultIn } from "./record-fault.ts";
import {
  sharedConfigurations,
  withConfigurations,
} from "./shared-configurations.ts";
import { type Directory, type Part, Store, type Written } from "./store.ts";

/** What every genie reads; see {@link newestFormat}. */
export const formatVersion = 1;

/** Only where format 1 cannot say it: the attachments share configurations. 0.1.0 refuses it with 11. */
export const newestFormat = 2;

/** The most that the record of an ADD may have (state.md "What ADD writes, DEL reads"). */
const maxRecordBytes = 4 << 20;

/** Whom the attachments belong to, for messages and lists; absent outside of Kubernetes. */
export interface PodReference {
  namespace: string;
  name: string;
  uid: string;
}

/** Everything that DEL, CHECK and GC need, written before the first delegate is executed. */
export interface AttachmentRecord {
  formatVersion: number;
  containerId: string;
  /** CNI_IFNAME of the request. */
  ifname: string;
  netns: string;
  /** `"device:inode"` of that namespace: a path of a process leads to another one when its number is used again. */
  netnsId?: string | undefined;
  /** The inode of the mount namespace in which that path was told; 0.1.0 wrote none. */
  mountNamespace?: string | undefined;
  /** The name of our own network configuration, by which the runtime asks for GC. */
  network: string;
  pod?: PodReference | undefined;
  /** When it was written: for people, and on the clock that never runs backwards. */
  time: string;
  bootId: string;
  /** Milliseconds since that boot. */
  uptimeMs: number;
  /** The directories where plugins were found. */
  path: string[];
  /** In the order of execution; of what could not be deleted, in the order of `Outcome`. */
  attachments: Attachment[];
  /** The DELs that failed, of one that ADD completed (state.md "Never stuck, never forgotten"). */
  failures?: DeleteFailures | undefined;
  /** Of a container that Multus attached: made of its file, so there are no results. */
  adopted?: boolean | undefined;
  /** Only in `<dataDir>/abandoned`: why it is there. */
  abandoned?: Abandonment | undefined;
}

export interface DeleteFailures {
  count: number;
  /** When the first of them was: milliseconds since a boot. */
  bootId: string;
  uptimeMs: number;
}

/** What could not be deleted, and was not the runtime's matter any more. */
export interface Abandonment {
  time: string;
  errors: { ifname: string; network: string; error: string }[];
}

/** What tells an ADD from all others. */
type AddOfRecord = Pick<
  AttachmentRecord,
  "containerId" | "ifname" | "bootId" | "uptimeMs"
>;

/** Whether two records are the same ADD's, whatever is still left in each. */
export function isSameAdd(a: AddOfRecord, b: AddOfRecord): boolean {
  return (
    a.containerId === b.containerId &&
    a.ifname === b.ifname &&
    a.bootId === b.bootId &&
    a.uptimeMs === b.uptimeMs
  );
}

/** Our own disk failed, or what is on it is unreadable: always code 5, and never a delegate's error. */
export class RecordError extends CniError {
  constructor(message: string, cause: unknown) {
    super(Code.io, message, { cause });
  }
}

/** A record that cannot be understood; it is moved aside and never silently dropped. */
export class CorruptRecord extends Error {}

/** A record of the directory, or why it cannot be read. */
export type RecordEntry =
  | { name: string; record: AttachmentRecord; error?: undefined }
  | { name: string; record?: undefined; error: unknown };

/** The last key of a file of results, whose value goes to the end of the file; `length` before it counts its UTF-16 units. */
const resultsKey = '"results":';

/**
 * What ADD took from outside stands some levels down in a record; and 0.1.0,
 * whose records must be read, took a hundred times as many levels.
 */
const recordDepth = 100 * maxDepth + 100;

/**
 * What ADD made in the pod so that an attachment that does not own the default route
 * answers by its own interface (selection.md §8): a table, and the sources of the rules
 * that look there. A key `routing` beside the attachment's result.
 */
export interface AttachmentRouting {
  table: number;
  addresses: readonly string[];
}

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
  create(record: AttachmentRecord): Written {
    return this.#write(record, "record", boundedText(record));
  }

  /** As {@link create}, for what is left of one: it is never too large to be kept. */
  write(record: AttachmentRecord): Written {
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

  #write(record: AttachmentRecord, part: Part, json: string): Written {
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

/** What {@link parseRecord} reads again, in the oldest format that can say it. */
export function textOfRecord(record: AttachmentRecord): string {
  const shared = sharedConfigurations(record.attachments);
  return JSON.stringify(
    shared
      ? { ...record, ...shared, formatVersion: newestFormat }
      : { ...record, formatVersion },
  );
}

/** As {@link textOfRecord}. Throws 7 for a record that is too large to be read by everybody in time. */
export function boundedText(record: AttachmentRecord): string {
  const text = textOfRecord(record);
  if (!isLonger(text, maxRecordBytes)) return text;
  throw new CniError(
    Code.invalidNetworkConfig,
    `the configurations of ${record.attachments.length} networks are too large to be recorded: ${bytesOf(text).length} bytes, at most ${maxRecordBytes}`,
  );
}

/** Throws `CorruptRecord`, or 11 for the record of a newer genie, which is left alone. */
export function parseRecord(json: string): AttachmentRecord {
  let value: unknown;
  try {
    value = parseJson(json, recordDepth);
  } catch (cause) {
    throw new CorruptRecord(messageOf(cause), { cause });
  }
  const version = own(value, "formatVersion");
  if (typeof version === "number" && version > newestFormat) {
    throw new CniError(
      Code.tryAgainLater,
      `attachment record has format ${version}, this genie reads up to ${newestFormat}: install the newer one again`,
    );
  }
  if (version === newestFormat && isObject(value))
    value = withConfigurations(value);
  const fault = faultIn(value);
  // The place only: what stands there may be a delegate's secret.
  if (fault !== undefined)
    throw new CorruptRecord(`not understood: → at ${fault}`);
  // oxlint-disable-next-line no-unsafe-type-assertion -- the edge: faultIn found none
  return value as AttachmentRecord;
}
