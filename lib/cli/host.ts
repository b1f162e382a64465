/**
 * The node's file system as a command reaches it: directly, or below a directory
 * where a container has it mounted (`--root /host`). What is written into files
 * is always the node's own path.
 */
import { readlinkSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** As many as Linux follows. */
const mostLinks = 40;

export class Host {
  readonly root: string;

  /** Throws Error unless the directory is an absolute path. */
  constructor(root = "/") {
    if (!root.startsWith("/"))
      throw new Error(
        `root: expected an absolute path, got ${JSON.stringify(root)}`,
      );
    this.root = resolve(root);
  }

  /** Whether the node's root is our own. */
  get isOurs(): boolean {
    return this.root === "/";
  }

  /**
   * Where a path of the node is for us. Symbolic links are followed within the
   * node's root: `/var/run` → `/run` must not lead to the container's `/run`.
   */
  path(absolute: string): string {
    return this.isOurs ? absolute : this.target(absolute);
  }

  /**
   * As {@link path}, with the links of our own root followed too: where a file
   * is to be written, so that a symbolic link to it stays one.
   */
  target(absolute: string): string {
    const root = this.isOurs ? "" : this.root;
    let found = "/";
    let links = 0;
    const pending = absolute.split("/");
    while (pending.length > 0) {
      const part = pending.shift() ?? "";
      if (part === "" || part === ".") continue;
      if (part === "..") {
        found = dirname(found);
        continue;
      }
      const next = found === "/" ? `/${part}` : `${found}/${part}`;
      const target = linkTarget(root + next);
      if (target === undefined) {
        found = next;
        continue;
      }
      if (++links > mostLinks)
        throw new Error(`too many symbolic links in ${absolute}`);
      if (target.startsWith("/")) found = "/";
      pending.unshift(...target.split("/"));
    }
    return found === "/" ? this.root : root + found;
  }
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    // EINVAL: no link. ENOENT: nothing there, to be told by whoever opens it.
    return undefined;
  }
}
