/**
 * The files of attachment records (state.md "The record"): names, atomic
 * replacement, fsync, what is unreadable. It owns `<dataDir>/attachments` and
 * does not know what a record is for. Never /var/lib/cni/results: runtimes
 * treat what is there as theirs (cni-runtime.md R-CACHE-1).
 */
import {
  closeSync,
  fsync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeSync,
} from "node:fs";
import { errnoOf } from "../cni/error.ts";
import { removeFile } from "./files.ts";

/** The files of one record; "gone" only while its namespace is seen to be gone. */
export type Part = "record" | "result" | "gone";

const suffixes: Record<Part, string> = {
  record: ".json",
  result: ".result.json",
  gone: ".gone",
};

/** Longer names are hashed; a file name has at most 255 bytes. */
const longestName = 200;

export class Store {
  readonly #folder: string;

  constructor(dataDir: string) {
    this.#folder = `${dataDir}/attachments`;
  }

  /** The base name of a record's files. */
  static nameOf(containerId: string, ifname: string): string {
    const name = `${containerId}:${ifname}`;
    // An interface called "eth0.result" would take the name of eth0's result file.
    const ambiguous = ifname.endsWith(".result");
    return ambiguous || Buffer.byteLength(name) > longestName
      ? new Bun.CryptoHasher("sha256").update(name).digest("hex")
      : name;
  }

  /** The text of a file, undefined when there is none. Throws the errno of the system. */
  read(name: string, part: Part): string | undefined {
    try {
      return readFileSync(this.#path(name, part), "utf8");
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  /**
   * Puts a file in place at once or not at all; 0600, made under another name
   * in the same folder. Returns a function that makes it durable: file, then
   * folder. Without that call the descriptors are simply closed.
   */
  write(name: string, part: Part, text: string): Written {
    const temporary = this.#path(`.${name}`, part);
    const fd = this.#open(temporary);
    try {
      writeAll(fd, text);
      renameSync(temporary, this.#path(name, part));
    } catch (error) {
      closeSync(fd);
      removeFile(temporary);
      throw error;
    }
    return new Written(fd, this.#folder);
  }

  /** The result goes first: a record without one is whole, a result without a record is litter. */
  remove(name: string): void {
    for (const base of [`.${name}`, name]) {
      removeFile(this.#path(base, "result"));
      removeFile(this.#path(base, "gone"));
      removeFile(this.#path(base, "record"));
    }
  }

  /** One file of a record; nothing when there is none. */
  removePart(name: string, part: Part): void {
    removeFile(this.#path(name, part));
  }

  /** Moves an unreadable record out of the way; what is left of its result is removed. */
  setAside(name: string): void {
    const path = this.#path(name, "record");
    renameSync(path, `${path}.corrupt`);
    removeFile(this.#path(name, "result"));
  }

  /** The base names of all records; foreign names and temporary files are ignored. */
  list(): string[] {
    let files: string[];
    try {
      files = readdirSync(this.#folder);
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return [];
      throw error;
    }
    return files
      .filter(
        (file) => recordFile.test(file) && !file.endsWith(suffixes.result),
      )
      .map((file) => file.slice(0, -suffixes.record.length));
  }

  #open(path: string): number {
    try {
      return openSync(path, "w", 0o600);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      return openSync(path, "w", 0o600);
    }
  }

  #path(name: string, part: Part): string {
    return `${this.#folder}/${name}${suffixes[part]}`;
  }
}

const recordFile = /^(?:[A-Za-z0-9][A-Za-z0-9_.-]*:[^:/]+|[0-9a-f]{64})\.json$/;

/** A file that has its name, but is not yet known to survive a power loss. */
export class Written {
  readonly #fd: number;
  readonly #folder: string;

  constructor(fd: number, folder: string) {
    this.#fd = fd;
    this.#folder = folder;
  }

  /** Waits in other threads, so that delegates run meanwhile. Rejects with the errno of the system. */
  async sync(): Promise<void> {
    const folder = openSync(this.#folder, "r");
    try {
      await Promise.all([synced(this.#fd), synced(folder)]);
    } finally {
      closeSync(folder);
      closeSync(this.#fd);
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function synced(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fsync(fd, (error) => (error ? reject(error) : resolve()));
  });
}

function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  let written = 0;
  while (written < bytes.length) written += writeSync(fd, bytes, written);
}
