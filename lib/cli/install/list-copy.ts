/**
 * The copy of genie's last valid configuration in `dataDir`. Without it, a file that
 * another program renamed or damaged would come back without the operator's keys, and
 * the node's policies (`allowedPlugins`, `namespaceIsolation`) would be gone.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CniError, Code } from "../../cni/error.ts";
import { own, parseJson } from "../../cni/json.ts";
import { messageOf } from "../../linux/errno.ts";
import {
  readOwnFileIfAny,
  requireOwnDirectory,
} from "../../linux/own-files.ts";
import {
  type Directories,
  defaultDirectories,
  ownFile,
} from "../node/directories.ts";
import type { Host } from "../node/host.ts";
import {
  makePrivateDirectory,
  putText,
  removeWritten,
} from "../node/replace-file.ts";
import { type ListFile, ownPlugin, parseListFile } from "./own-list.ts";

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
