/**
 * The node's file system: directly, or below the directory where a container has
 * mounted it (`--root /host`). Paths written into files are always the node's own.
 */
import { readlinkSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { quote } from "../../linux/text.ts";
import { attempt } from "./attempt.ts";

/** The limit of Linux. */
const mostLinks = 40;

export class Host {
  readonly root: string;

  /** Throws Error unless the directory is an absolute path. */
  constructor(root = "/") {
    if (!root.startsWith("/"))
      throw new Error(`root: expected an absolute path, got ${quote(root)}`);
    this.root = resolve(root);
  }

  /** Whether the node's root is this process's root. */
  get isOwnRoot(): boolean {
    return this.root === "/";
  }

  /**
   * The path of a node's file for this process. Resolves symbolic links within the
   * node's root: `/var/run` → `/run` must not lead to the container's `/run`.
   */
  path(absolute: string): string {
    return this.isOwnRoot ? absolute : this.target(absolute);
  }

  /**
   * As {@link path}, but also resolves links of this process's root: the place to
   * write to, so that a symbolic link stays a link.
   */
  target(absolute: string): string {
    const root = this.isOwnRoot ? "" : this.root;
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

/** undefined for EINVAL, not a link, and for ENOENT, which the caller that opens it reports. */
function linkTarget(path: string): string | undefined {
  return attempt(() => readlinkSync(path));
}
