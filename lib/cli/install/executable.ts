/**
 * Genie's executable in the node's plugin directory: compares it with the running
 * one, and replaces it.
 */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  lstatSync,
  openSync,
  readSync,
  readlinkSync,
  realpathSync,
  statSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { CniError, Code, invalidConfig } from "../../cni/error.ts";
import { readElfHeader } from "../../linux/elf.ts";
import { errnoOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import type { Terminal } from "../command/terminal.ts";
import { problemOf } from "../node/attempt.ts";
import { type Directories, ownType } from "../node/directories.ts";
import type { Host } from "../node/host.ts";
import { versionsOf } from "../node/plugin-versions.ts";
import { putExecutable, removeLeftOver } from "../node/replace-file.ts";

export class Executable {
  readonly #binDir: string;
  readonly #host: Host;
  readonly #terminal: Pick<Terminal, "env" | "self">;
  /** The file that is already known as a copy, so that it is not read every few seconds. */
  #known: string | undefined;

  constructor(
    { host, binDir }: Directories,
    terminal: Pick<Terminal, "env" | "self">,
  ) {
    this.#binDir = binDir;
    this.#host = host;
    this.#terminal = terminal;
  }

  /** The path on the node. */
  get path(): string {
    return join(this.#binDir, ownType);
  }

  /**
   * Copies this executable, executes the copy with VERSION, and renames it to its
   * final name; false if it was there already. Throws an error that names a missing
   * library of the node; nothing has changed then.
   */
  async put(): Promise<boolean> {
    const target = this.#host.path(this.path);
    if (this.#isKnown(target)) return false;
    let failure: unknown;
    for (const source of await this.#sources()) {
      try {
        const changed = await this.#putCopy(target, source);
        this.#known = identity(target);
        return changed;
      } catch (error) {
        failure ??= error;
      }
    }
    throw failure;
  }

  async #putCopy(target: string, source: string): Promise<boolean> {
    removeLeftOver(target, 0);
    if (
      isExecutable(target) &&
      (sameContent(source, target) || (await this.#isUpgrade(target)))
    )
      return false;
    requireDirectory(dirname(target), this.#binDir);
    await putExecutable(target, source, async (copy) => {
      await this.#ask(basename(copy));
    });
    return true;
  }

  /**
   * This executable, and in an image the one beside it: one is for glibc, one for
   * musl. Those whose loader the node has; a node with both loaders decides by
   * executing them.
   */
  async #sources(): Promise<string[]> {
    const { self } = this.#terminal;
    if (this.#host.isOwnRoot) return [self];
    const found: string[] = [];
    for (const path of [self, join(dirname(realpathSync(self)), "genie-musl")])
      if (await this.#hasLoader(path)) found.push(path);
    return found.length > 0 ? found : [self];
  }

  async #hasLoader(executable: string): Promise<boolean> {
    if (!existsSync(executable)) return false;
    const loader = (await readElfHeader(executable))?.interpreter ?? "";
    return existsSync(this.#host.path(loader));
  }

  /**
   * Whether this process was started from the file at `target`, and another genie has
   * replaced it since: an agent that is a unit of systemd must not undo an upgrade.
   */
  async #isUpgrade(target: string): Promise<boolean> {
    if (startedFrom(this.#terminal.self) !== realpathSync(target)) return false;
    try {
      await this.#ask(ownType);
      return true;
    } catch {
      return false;
    }
  }

  async #ask(type: string): Promise<void> {
    const asked = { type, directories: [this.#binDir] };
    const versions = await versionsOf(asked, this.#host, this.#terminal);
    if (versions.includes("1.0.0")) return;
    throw new CniError(
      Code.incompatibleVersion,
      `${this.#terminal.self} is not genie: it supports ${versions.join(", ")}`,
    );
  }

  #isKnown(target: string): boolean {
    return this.#known !== undefined && this.#known === identity(target);
  }
}

/** The path behind `/proc/self/exe`: the kernel marks that of a file that was replaced. */
function startedFrom(self: string): string {
  const link = lstatSync(self).isSymbolicLink() ? readlinkSync(self) : self;
  return link.replace(/ \(deleted\)$/, "");
}

function requireDirectory(path: string, binDir: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  throw invalidConfig(
    `no plugin directory ${quote(binDir)}: name the runtime's with --bin-dir`,
  );
}

function identity(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return (
    stat && `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.mode}`
  );
}

function isExecutable(path: string): boolean {
  return (
    problemOf(() => accessSync(path, constants.X_OK)) === undefined &&
    statSync(path).isFile()
  );
}

const chunkBytes = 1 << 20;

/** Whether two files have the same bytes; false if one cannot be read. */
export function sameContent(a: string, b: string): boolean {
  const files: number[] = [];
  try {
    if (statSync(a).size !== statSync(b).size) return false;
    for (const path of [a, b]) files.push(openSync(path, "r"));
    return sameBytes(files);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return false;
  } finally {
    for (const fd of files) closeSync(fd);
  }
}

function sameBytes([a = -1, b = -1]: readonly number[]): boolean {
  const left = Buffer.allocUnsafe(chunkBytes);
  const right = Buffer.allocUnsafe(chunkBytes);
  for (;;) {
    const count = readSync(a, left);
    if (readSync(b, right) !== count) return false;
    if (count === 0) return true;
    if (left.compare(right, 0, count, 0, count) !== 0) return false;
  }
}
