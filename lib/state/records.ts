/**
 * The directory of attachment records (state.md "The record"): `<dataDir>/attachments`,
 * and `<dataDir>/abandoned` for those that could not be deleted. Names, atomic
 * replacement, fsync, unreadable files. Never /var/lib/cni/results: runtimes treat
 * the files there as theirs (cni-runtime.md R-CACHE-1). The directory must be ours
 * alone: each method throws 5 where others may write to it.
 */
import { CniError } from "../cni/error.ts";
import type { Result } from "../cni/result.ts";
import { errnoOf } from "../linux/errno.ts";
import { Open, close, open, rename } from "../linux/file-calls.ts";
import {
  UnreadableFile,
  createFile,
  linkStatusIfAny,
  removeFile,
  writeAll,
} from "../linux/files.ts";
import {
  makeOwnDirectory,
  readOwnFileIfAny,
  requireOwnDirectory,
} from "../linux/own-files.ts";
import { isLonger } from "../linux/text.ts";
import {
  type AttachmentRecord,
  type AttachmentRouting,
  CorruptRecord,
} from "./record.ts";
import { boundedText, parseRecord, textOfRecord } from "./record-text.ts";
import {
  WrittenFile,
  onDisk,
  recordError,
  remove,
  replace,
  setAside,
} from "./record-files.ts";
import {
  type DueStatus,
  type ResultFile,
  type StoredResults,
  noResults,
  parseResultFile,
  storedResults,
  textOfResults,
} from "./stored-results.ts";

/**
 * The files of one record; "gone" only while its namespace is seen to be gone, "deleting"
 * from the beginning of its first DEL, "status" when the agent has written its status.
 */
export type RecordPart = "record" | "result" | "gone" | "deleting" | "status";

export const suffixes: Record<RecordPart, string> = {
  record: ".json",
  result: ".result.json",
  gone: ".gone",
  deleting: ".deleting",
  status: ".status",
};

/**
 * The most bytes that are read: a damaged disk can show a file of any size. Above
 * everything that a genie wrote: 0.1.0 had no bound for a record and wrote 31
 * definitions of 1 MiB, and each of 32 delegates can print 4 MiB.
 */
const maxBytes: Record<RecordPart, number> = {
  record: 64 << 20,
  result: 256 << 20,
  gone: 4096,
  deleting: 0,
  status: 4096,
};

/** Longer names are hashed; a file name has at most 255 bytes. */
const longestName = 200;

/** The keys of a record that are in its file name. */
export type RecordIdentity = Pick<AttachmentRecord, "containerId" | "ifname"> &
  Partial<Pick<AttachmentRecord, "bootId" | "uptimeMs">>;

export class Records {
  protected readonly path: string;
  protected readonly kind: "attachments" | "abandoned";
  #isChecked = false;

  /** Names of `abandoned` contain the ADD: it may have several records of one container and interface. */
  constructor(
    dataDir: string,
    kind: "attachments" | "abandoned" = "attachments",
  ) {
    this.path = `${dataDir}/${kind}`;
    this.kind = kind;
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

  /**
   * Writes the record of an ADD. Throws 7 for one that is too large, 5 when it cannot be
   * written: then nothing may be executed.
   */
  create(record: AttachmentRecord): WrittenFile {
    return this.writePart(record, "record", boundedText(record));
  }

  /** Replaces a record, without the size limit of {@link create}. Throws 5. */
  write(record: AttachmentRecord): WrittenFile {
    return this.writePart(record, "record", textOfRecord(record));
  }

  /**
   * Results by `resultKey`, as {@link readResults} gives them, and the status that is due.
   * Never made durable: torn only means no prevResult.
   */
  writeResults(
    record: AttachmentRecord,
    results: ReadonlyMap<string, Result>,
    routing?: ReadonlyMap<string, AttachmentRouting>,
    status?: DueStatus,
  ): void {
    const text = textOfResults(record, results, routing, status);
    this.writePart(record, "result", text).close();
  }

  /**
   * The record of this container, interface and, among abandoned ones, ADD; undefined
   * when there is none. Throws `CorruptRecord`, 11 for a newer format, 5 for the disk.
   */
  read(identity: RecordIdentity): Promise<AttachmentRecord | undefined> {
    return this.readNamed(this.baseNameOf(identity));
  }

  /** Whether there is a record, readable or not. */
  has(identity: RecordIdentity): boolean {
    return onDisk(
      "find",
      () => this.statusOf(this.baseNameOf(identity)) !== undefined,
    );
  }

  /** Never throws: DEL and CHECK go on without a prevResult. */
  readResults(record: AttachmentRecord): Promise<StoredResults> {
    let file: ResultFile | undefined;
    try {
      const text = this.readPart(this.baseNameOf(record), "result");
      file = text === undefined ? noResults : parseResultFile(text);
    } catch {
      // Unreadable.
    }
    return storedResults(record, file);
  }

  /** Without results the ADD counts as failed. */
  removeResults(record: AttachmentRecord): void {
    remove(this.pathOf(this.baseNameOf(record), "result"));
  }

  /**
   * Notes that a DEL has begun: nothing is attached to that pod any more (agent.md). An
   * empty file, so that a DEL need not write the record; a disk that refuses it refuses
   * every attachment too.
   */
  noteDeleting(record: RecordIdentity): void {
    // O_NONBLOCK: opening a FIFO must not block.
    const flags =
      Open.writeOnly | Open.create | Open.noFollow | Open.nonBlocking;
    try {
      close(
        open(this.pathOf(this.baseNameOf(record), "deleting"), flags, 0o600),
      );
    } catch (cause) {
      if (errnoOf(cause) === undefined) throw CniError.from(cause);
    }
  }

  /**
   * The result first: a record without result is valid, a result without record is not.
   * A record that loses its note of a DEL has no result either.
   */
  remove(record: RecordIdentity): void {
    const name = this.baseNameOf(record);
    onDisk("remove", () => {
      for (const base of [`.${name}`, name]) {
        remove(this.pathOf(base, "result"));
        remove(this.pathOf(base, "gone"));
        remove(this.pathOf(base, "status"));
        if (base === name) remove(this.pathOf(base, "deleting"));
        remove(this.pathOf(base, "record"));
      }
    });
  }

  /** Renames the unreadable record of a name and removes its result. */
  setAside(name: string): void {
    onDisk("move aside", () => {
      remove(this.pathOf(name, "result"));
      remove(this.pathOf(name, "deleting"));
      remove(this.pathOf(name, "status"));
      setAside(this.pathOf(name, "record"));
    });
  }

  protected get directory(): string {
    if (!this.#isChecked) requireOwnDirectory(this.path);
    this.#isChecked = true;
    return this.path;
  }

  protected pathOf(name: string, part: RecordPart): string {
    return `${this.directory}/${name}${suffixes[part]}`;
  }

  protected baseNameOf({
    containerId,
    ifname,
    bootId = "",
    uptimeMs,
  }: RecordIdentity): string {
    return this.kind === "attachments"
      ? Records.nameOf(containerId, ifname)
      : Records.nameOf(containerId, ifname, `${bootId}-${uptimeMs}`);
  }

  protected statusOf(name: string) {
    return linkStatusIfAny(this.pathOf(name, "record"));
  }

  protected readPart(name: string, part: RecordPart): string | undefined {
    return readOwnFileIfAny(this.pathOf(name, part), maxBytes[part]);
  }

  /** {@link read} by the base name of the file. */
  async readNamed(name: string): Promise<AttachmentRecord | undefined> {
    let text: string | undefined;
    try {
      text = this.readPart(name, "record");
    } catch (cause) {
      // Unreadable: renamed as any other.
      if (cause instanceof UnreadableFile)
        throw new CorruptRecord(cause.message);
      throw recordError("failed to read attachment record", cause);
    }
    if (text === undefined) return undefined;
    const record = await parseRecord(text);
    if (this.baseNameOf(record) === name) return record;
    throw new CorruptRecord(
      `it is the record of ${record.containerId}:${record.ifname}`,
    );
  }

  /**
   * Puts a file in place at once or not at all; 0600, made under another name in the
   * same directory. It is durable after `sync` of the returned file.
   */
  protected writePart(
    record: RecordIdentity,
    part: RecordPart,
    text: string,
  ): WrittenFile {
    const name = this.baseNameOf(record);
    try {
      const temporary = this.pathOf(`.${name}`, part);
      const fd = this.#create(temporary);
      try {
        writeAll(fd, text);
        const path = this.pathOf(name, part);
        // A failure to rename results fails the ADD, which is rolled back.
        if (part === "result") rename(temporary, path);
        else replace(temporary, path);
      } catch (error) {
        close(fd);
        removeFile(temporary);
        throw error;
      }
      return new WrittenFile(fd, this.directory);
    } catch (cause) {
      throw recordError(`failed to write attachment ${part}`, cause);
    }
  }

  #create(path: string): number {
    try {
      return createFile(path, 0o600);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "ENOENT") makeOwnDirectory(this.path);
      else if (errno === "EISDIR") setAside(path);
      else throw error;
      return createFile(path, 0o600);
    }
  }
}
