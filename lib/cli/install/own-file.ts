/**
 * Genie's configuration file, and the copy of its last valid content in `dataDir`.
 * Without the copy, a file that another program renamed or damaged would come back
 * without the operator's keys, and the node's policies (`allowedPlugins`,
 * `namespaceIsolation`) would be gone.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CniError, Code, invalidConfig } from "../../cni/error.ts";
import { own, parseJson } from "../../cni/json.ts";
import { errnoOf, messageOf } from "../../linux/errno.ts";
import { readOwnFileIfAny, requireOwnDirectory } from "../../linux/files.ts";
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
  makeDirectory,
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
  readonly #host: Host;
  /** Our file in the runtime's directory; may be a symbolic link. */
  readonly #link: string;

  constructor(directories: Directories, host: Host) {
    this.#directories = directories;
    this.#host = host;
    this.#link = join(host.path(directories.confDir), ownFile);
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
      if (errnoOf(cause) === "EACCES") throw cause;
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

  /** Copies the file's text into `dataDir`. Throws 5 if that fails. */
  keepCopy(text: string): void {
    for (const directory of this.#copyDirectories(text)) {
      try {
        makeDirectory(this.#host.path(directory), 0o700);
        requireOurs(this.#host.path(directory));
        putText(this.#copy(directory), text, { mode: 0o600, secret: true });
      } catch (cause) {
        throw new CniError(
          Code.io,
          `failed to keep a copy of ${this.path} in ${directory}: ${messageOf(cause)}`,
          { cause },
        );
      }
    }
  }

  get #target(): string {
    return this.#host.target(this.path);
  }

  /** The copy of the last valid list. */
  #restored(force: boolean): Omit<Base, "text"> {
    const directory = this.#firstCopyDirectory;
    const restoredFrom = join(directory, ownFile);
    try {
      const place = this.#host.path(directory);
      if (!existsSync(place)) return { list: undefined };
      requireOurs(place);
      const text = readOwnFileIfAny(this.#copy(directory));
      if (text === undefined) return { list: undefined };
      return { list: parseListFile(text), restoredFrom };
    } catch (cause) {
      if (force) return { list: undefined };
      throw invalidConfig(
        `${this.path} is missing, and its last good copy ${quote(restoredFrom)} cannot be used: ${messageOf(cause)}: correct or remove it, or use --force, which begins anew`,
        cause,
      );
    }
  }

  /** The directory of the copy if no file names `dataDir`. */
  get #firstCopyDirectory(): string {
    return this.#directories.dataDir ?? defaultDirectories.dataDir;
  }

  #copyDirectories(text: string): Set<string> {
    const configured = own(ownPlugin(parseJson(text)), "dataDir");
    const directories = new Set([this.#firstCopyDirectory]);
    if (typeof configured === "string") directories.add(configured);
    return directories;
  }

  #copy(directory: string): string {
    return join(this.#host.path(directory), ownFile);
  }
}

/** Removes the copies after `uninstall`. `configured` is our path of the configured `dataDir`. */
export function removeCopies(
  { dataDir }: Directories,
  host: Host,
  configured: string,
): void {
  const first = host.path(dataDir ?? defaultDirectories.dataDir);
  for (const directory of [first, configured])
    removeWritten(join(directory, ownFile));
}

/**
 * Throws 5 unless `dataDir` belongs to us: content that others can write is not
 * trusted (state.md "The record").
 */
function requireOurs(place: string): void {
  requireOwnDirectory(join(place, "attachments"));
}

/**
 * A list that another program wrote without genie, with our former plugin object:
 * its keys are the node's policy.
 */
function withPluginOf(list: ListFile, former: ListFile | undefined): ListFile {
  if (!former || !hasOwnPlugin(former.value)) return list;
  return withOwnPlugin(list, ownPlugin(former.value));
}
