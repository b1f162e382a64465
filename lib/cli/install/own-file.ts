/**
 * Genie's configuration file in the runtime's directory, and the copy of its last valid
 * content in `dataDir`.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CniError, Code, invalidConfig } from "../../cni/error.ts";
import { own, parseJson } from "../../cni/json.ts";
import { errnoOf, messageOf } from "../../linux/errno.ts";
import {
  readOwnFileIfAny,
  requireOwnDirectory,
} from "../../linux/own-files.ts";
import { quote } from "../../linux/text.ts";
import {
  type Directories,
  defaultDirectories,
  ownFile,
} from "../node/directories.ts";
import type { Host } from "../node/host.ts";
import { readTextIfAny } from "../node/read-file.ts";
import {
  isLink,
  keepDamaged,
  makePrivateDirectory,
  putText,
  removeWritten,
  renewLink,
} from "../node/replace-file.ts";
import {
  type ListFile,
  hasOwnPlugin,
  ownPlugin,
  parseListFile,
  withOwnPlugin,
} from "./own-list.ts";

/** The source of the next configuration. */
export interface Base {
  /** undefined: none, so a new one is made. */
  list: ListFile | undefined;
  /** The file's own text; undefined if there is no file. */
  text: string | undefined;
  /** The source of the list if it is not the file itself. */
  restoredFrom?: string;
  /** Why the file is invalid; it is then overwritten (`--force`). */
  problem?: string;
}

export class OwnFile {
  readonly #directories: Directories;
  /** May be a symbolic link. */
  readonly #link: string;
  readonly copy: ListCopy;

  constructor(directories: Directories) {
    const { host } = directories;
    this.#directories = directories;
    this.#link = join(host.path(directories.confDir), ownFile);
    this.copy = new ListCopy(directories);
  }

  /** The path on the node. */
  get path(): string {
    return join(this.#directories.confDir, ownFile);
  }

  /** Throws 7 for an invalid file or copy, unless `force` is set. */
  read(force: boolean): Base {
    let text: string | undefined;
    let list: ListFile | undefined;
    try {
      text = readTextIfAny(this.#target);
      list = text === undefined ? undefined : parseListFile(text);
    } catch (cause) {
      if (cause instanceof Error && errnoOf(cause.cause) === "EACCES")
        throw cause;
      if (!force)
        throw invalidConfig(
          `${this.path}: ${messageOf(cause)}: correct it, or use --force, which keeps a copy of it and restores the last good one`,
          cause,
        );
      return { ...this.#restored(force), text, problem: messageOf(cause) };
    }
    if (list && hasOwnPlugin(list.value)) return { text, list };
    const restored = this.#restored(force);
    return list
      ? { ...restored, text, list: withPluginOf(list, restored.list) }
      : { ...restored, text };
  }

  /** Whether another program changed the file since it was read. */
  hasChanged({ text, problem }: Base): boolean {
    return problem === undefined && readTextIfAny(this.#target) !== text;
  }

  /** Whether the file was written. A damaged file is renamed first; its new path is returned. */
  write(base: Base, text: string): { changed: boolean; kept?: string } {
    const isDamaged = base.problem !== undefined;
    const kept = isDamaged && this.path + keepDamaged(this.#link);
    const changed = putText(this.#target, text, { mode: 0o600 });
    if (changed && isLink(this.#link)) renewLink(this.#link);
    return { changed, ...(kept && { kept }) };
  }

  get #target(): string {
    return this.#directories.host.target(this.path);
  }

  /** Our last valid list. */
  #restored(force: boolean): Omit<Base, "text"> {
    try {
      const list = this.copy.read();
      return list ? { list, restoredFrom: this.copy.path } : { list };
    } catch (cause) {
      if (force) return { list: undefined };
      throw invalidConfig(
        `${this.path} is missing, and its last good copy ${quote(this.copy.path)} cannot be used: ${messageOf(cause)}: correct or remove it, or use --force, which begins anew`,
        cause,
      );
    }
  }
}

/**
 * A list that another program wrote without genie, with the plugin object of our last valid list:
 * its keys are the node's policy.
 */
function withPluginOf(
  list: ListFile,
  restored: ListFile | undefined,
): ListFile {
  if (!restored || !hasOwnPlugin(restored.value)) return list;
  return withOwnPlugin(list, ownPlugin(restored.value));
}

/**
 * The copy. Without it, a file that another program renamed or damaged would come back
 * without the operator's keys, and the node's policies (`allowedPlugins`,
 * `namespaceIsolation`) would be gone.
 */
export class ListCopy {
  readonly #host: Host;
  /** The directory of the copy if no file names `dataDir`. */
  readonly #directory: string;

  /** The path of the file itself. */
  readonly #original: string;

  constructor({
    host,
    confDir,
    dataDir = defaultDirectories.dataDir,
  }: Directories) {
    this.#host = host;
    this.#directory = dataDir;
    this.#original = join(confDir, ownFile);
  }

  /** The path on the node. */
  get path(): string {
    return join(this.#directory, ownFile);
  }

  /** undefined if there is no copy. Throws Error for one that cannot be used. */
  read(): ListFile | undefined {
    const directory = this.#host.path(this.#directory);
    if (!existsSync(directory)) return undefined;
    requireOurs(directory);
    const text = readOwnFileIfAny(join(directory, ownFile));
    return text === undefined ? undefined : parseListFile(text);
  }

  /** Writes a list into our `dataDir`, and into the one that it configures. Throws 5. */
  write(list: string): void {
    const configured = own(ownPlugin(parseJson(list)), "dataDir");
    const directories = new Set([this.#directory]);
    if (typeof configured === "string") directories.add(configured);
    for (const directory of directories) {
      const place = this.#host.path(directory);
      try {
        if (!existsSync(place)) makePrivateDirectory(place);
        requireOurs(place);
        putText(join(place, ownFile), list, { mode: 0o600, secret: true });
      } catch (cause) {
        throw new CniError(
          Code.io,
          `failed to keep a copy of ${this.#original} in ${directory}: ${messageOf(cause)}`,
          { cause },
        );
      }
    }
  }

  /** `configured` is this process's path of the configured `dataDir`. */
  remove(configured: string): void {
    for (const directory of [this.#host.path(this.#directory), configured])
      removeWritten(join(directory, ownFile));
  }
}

/**
 * Throws 5 unless `dataDir` belongs to us: content that others can write is not
 * trusted (state.md "The record").
 */
function requireOurs(dataDir: string): void {
  requireOwnDirectory(join(dataDir, "attachments"));
}
