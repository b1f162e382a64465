/**
 * The files of attachment records (state.md "The record"): names, atomic
 * replacement, fsync, what is unreadable. It owns `<dataDir>/attachments` and
 * `<dataDir>/abandoned`, and does not know what a record is for. Never /var/lib/cni/results: runtimes
 * treat what is there as theirs (cni-runtime.md R-CACHE-1). The directory must be
 * ours alone: each method throws 5 where others may write to it.
 */
import { errnoOf } from "../linux/errno.ts";
import {
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
  write(name: string, part: Part, text: string): Written {
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
    return new Written(fd, this.#directory);
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
export class Written {
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
