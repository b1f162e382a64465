/**
 * Our configuration file on the disk, and the copy of the last good one in
 * `dataDir`. Without the copy a file that another program renamed away or
 * damaged would come back without the operator's keys, and with them the
 * node's policies (`allowedPlugins`, `namespaceIsolation`) would be gone.
 */
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { Code, CniError } from "../cni/error.ts";
import { errnoOf, messageOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import { readOwnFileIfAny, requireOwnDirectory } from "../linux/files.ts";
import { isObject, mismatch, own, parseJson } from "../cni/json.ts";
import { type Directories, defaultDirectories } from "./directories.ts";
import type { Host } from "./host.ts";
import { ownFile } from "./node.ts";
import { type ListFile, hasOwnPlugin, ownPlugin } from "./own-list.ts";
import {
  isLink,
  keepDamaged,
  makeDirectory,
  putText,
  renewLink,
  textOf,
} from "./put.ts";

/** What the next configuration is made of. */
export interface Base {
  /** undefined: there was none, so it begins anew. */
  list: ListFile | undefined;
  /** The file's own text; undefined when there is no file. */
  text: string | undefined;
  /** Where the list comes from when it is not the file itself. */
  restoredFrom?: string;
  /** Why the file could not be read; then it is to be overwritten (`--force`). */
  problem?: string;
}

/** A suffix that other CNIs and people give to a file that is to be ignored. */
export const renamedPattern =
  /\.(?:cilium_bak|bak|backup|old|orig|disabled|renamed)$/;

export class OwnFile {
  readonly #directories: Directories;
  readonly #host: Host;
  /** In the directory that runtimes watch; it may be a symbolic link. */
  readonly #link: string;

  constructor(directories: Directories, host: Host) {
    this.#directories = directories;
    this.#host = host;
    this.#link = join(host.path(directories.confDir), ownFile);
  }

  /** The node's path. */
  get path(): string {
    return join(this.#directories.confDir, ownFile);
  }

  /** Throws 7 for a file or a copy that cannot be read, unless it may be overwritten (`force`). */
  read(force: boolean): Base {
    let text: string | undefined;
    let list: ListFile | undefined;
    try {
      text = textOf(this.#target);
      list = text === undefined ? undefined : parseList(text);
    } catch (cause) {
      if (!force)
        throw new CniError(
          Code.invalidNetworkConfig,
          `${this.path}: ${messageOf(cause)}: correct it, or use --force, which keeps a copy of it and restores the last good one`,
          { cause },
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
    return problem === undefined && textOf(this.#target) !== text;
  }

  /** Whether the file had to be written. A damaged one is kept under another name, whose path is returned. */
  write(base: Base, text: string): { changed: boolean; kept?: string } {
    const kept =
      base.problem === undefined ? undefined : keepDamaged(this.#link);
    const changed = putText(this.#target, text, { mode: 0o600 });
    if (changed && isLink(this.#link)) renewLink(this.#link);
    return {
      changed,
      ...(kept !== undefined && { kept: this.path + kept }),
    };
  }

  /** Copies the file's text into `dataDir`. Throws 5 where that cannot be done. */
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

  /** The last good list; else the youngest file that was renamed, for an installation that kept no copy yet. */
  #restored(force: boolean): Omit<Base, "text"> {
    return this.#lastGood(force) ?? this.#renamed() ?? { list: undefined };
  }

  #lastGood(force: boolean): Omit<Base, "text"> | undefined {
    const directory = this.#firstCopyDirectory;
    const restoredFrom = join(directory, ownFile);
    try {
      const place = this.#host.path(directory);
      if (!existsSync(place)) return undefined;
      requireOurs(place);
      const text = readOwnFileIfAny(this.#copy(directory));
      if (text === undefined) return undefined;
      return { list: parseList(text), restoredFrom };
    } catch (cause) {
      if (force) return undefined;
      throw new CniError(
        Code.invalidNetworkConfig,
        `${this.path} is missing, and its last good copy ${quote(restoredFrom)} cannot be used: ${messageOf(cause)}: correct or remove it, or use --force, which begins anew`,
        { cause },
      );
    }
  }

  #renamed(): Omit<Base, "text"> | undefined {
    const { confDir } = this.#directories;
    const directory = this.#host.path(confDir);
    const found = namesIn(directory)
      .filter(
        (file) => file.startsWith(`${ownFile}.`) && renamedPattern.test(file),
      )
      .map((file) => ({ file, path: join(directory, file) }))
      .toSorted((a, b) => statSync(b.path).mtimeMs - statSync(a.path).mtimeMs);
    for (const { file, path } of found) {
      try {
        const text = textOf(path);
        if (text !== undefined)
          return { list: parseList(text), restoredFrom: join(confDir, file) };
      } catch {
        // The next one may be better.
      }
    }
    return undefined;
  }

  /** Where the copy is looked for when there is no file to say so. */
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

/** Removes the copies: an operator who uninstalls wants no key back. `configured` is where we reach the `dataDir` of our configuration. */
export function removeCopies(
  { dataDir }: Directories,
  host: Host,
  configured: string,
): void {
  const first = host.path(dataDir ?? defaultDirectories.dataDir);
  for (const directory of [first, configured])
    rmSync(join(directory, ownFile), { force: true });
}

/** Throws Error for what is no configuration list. */
function parseList(text: string): ListFile {
  const value = parseJson(text);
  if (!isObject(value)) throw new Error(mismatch("an object", value));
  const plugins = own(value, "plugins");
  if (plugins !== undefined && !Array.isArray(plugins))
    throw new Error(`plugins: ${mismatch("an array", plugins)}`);
  return { text, value };
}

/** `dataDir` belongs to us (state.md "The record"): what others may write there decides nothing. Throws 5. */
function requireOurs(place: string): void {
  requireOwnDirectory(join(place, "attachments"));
}

/** A list that another program wrote without genie, with our plugin object as it was: its keys are the node's policy. */
function withPluginOf(list: ListFile, former: ListFile | undefined): ListFile {
  if (!former || !hasOwnPlugin(former.value)) return list;
  const given: unknown = own(list.value, "plugins") ?? [];
  const plugins = [ownPlugin(former.value), given].flat();
  const value = { ...list.value, plugins };
  // A text of its own: the file's does not say this.
  return { text: `${JSON.stringify(value, null, 2)}\n`, value };
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
