/**
 * The node's file system: directly, or below the directory where a container has
 * mounted it (`--root /host`). Paths written into files are always the node's own.
 *
 * {@link whileInstalling}: one installer at a time on a node. A DaemonSet's `install
 * --watch`, an operator's `install` or `uninstall` would overwrite each other's
 * changes. The lock is a flock on the directory of configurations, so it needs no
 * file there and works through a mount.
 *
 * {@link isSeen}: only the container runtime's mount namespace shows which network
 * namespaces exist. Elsewhere, such as in a debugging container with the node's root,
 * every living pod seems to be gone (state.md "CHECK, GC, STATUS").
 */
import { readlinkSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { Code, CniError } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import { Open, close, openIfAny } from "../linux/file-calls.ts";
import { tryLock } from "../linux/file-lock.ts";
import { mountNamespace } from "../linux/netns.ts";
import type { Context } from "../attach/context.ts";
import { recordDirectory } from "../attach/record-directory.ts";
import type { AttachmentRecord } from "../attach/record.ts";

/** Linux' limit. */
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

  /** Whether the node's root is this process's root. */
  get isOurs(): boolean {
    return this.root === "/";
  }

  /**
   * The path of a node's file for this process. Resolves symbolic links within the
   * node's root: `/var/run` → `/run` must not lead to the container's `/run`.
   */
  path(absolute: string): string {
    return this.isOurs ? absolute : this.target(absolute);
  }

  /**
   * As {@link path}, but also resolves links of this process's root: the place to
   * write to, so that a symbolic link stays a link.
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
    // EINVAL: not a link. ENOENT: the caller that opens it reports it.
    return undefined;
  }
}

const pollMs = 50;
/** Longer than an installation takes. */
const limitMs = 60_000;

/**
 * Runs `work` under the installers' lock of `confDir` (a path of the node), without
 * a lock if the directory is missing. Throws 11 after the time limit.
 */
export async function whileInstalling<T>(
  confDir: string,
  host: Host,
  work: () => Promise<T>,
): Promise<T> {
  const fd = openDirectory(host.path(confDir), confDir);
  if (fd === undefined) return work();
  try {
    const until = performance.now() + limitMs;
    while (!tryLock(fd)) {
      if (performance.now() > until)
        throw new CniError(
          Code.tryAgainLater,
          `another genie is installing into ${confDir}`,
        );
      await Bun.sleep(pollMs);
    }
    return await work();
  } finally {
    close(fd);
  }
}

function openDirectory(place: string, confDir: string): number | undefined {
  try {
    return openIfAny(place, Open.readOnly | Open.nonBlocking);
  } catch (cause) {
    throw new CniError(Code.io, `${confDir}: ${messageOf(cause)}`, { cause });
  }
}

/** Inodes of mount namespaces; undefined if unreadable. */
export interface MountNamespaces {
  own: string | undefined;
  /** That of process 1. */
  first: string | undefined;
}

function mountNamespaces(): MountNamespaces {
  return { own: mountNamespace(), first: mountNamespace("1") };
}

/**
 * The reason why namespaces are not visible here, and how to run `command`
 * elsewhere; undefined if they are visible.
 */
export async function whyUnseen(
  context: Context,
  command: string,
  { own, first } = mountNamespaces(),
): Promise<string | undefined> {
  const recorded = await newestRecorded(context);
  const known = [recorded, first].filter((inode) => inode !== undefined);
  if (known.every((inode) => inode === own)) return undefined;
  const names = [
    `this mount namespace is ${own ?? "unknown"}`,
    ...(recorded ? [`that of the newest attachment ${recorded}`] : []),
    ...(first ? [`that of process 1 ${first}`] : []),
  ];
  const isApart = recorded && first && recorded !== first;
  const advice = isApart
    ? "only the container runtime's GC can tell: the runtime has another mount namespace than process 1"
    : `run it as \`nsenter -t 1 -m -- ${command}\``;
  return `cannot tell which network namespaces are gone: ${names.join(", ")}: ${advice}`;
}

/** The mount namespace of the newest record of this boot that has one. */
async function newestRecorded(context: Context): Promise<string | undefined> {
  const bootId = context.dependencies.bootId();
  let newest: Pick<AttachmentRecord, "uptimeMs" | "mountNamespace"> | undefined;
  for await (const { record } of recordDirectory(context).all()) {
    if (record?.mountNamespace === undefined || record.bootId !== bootId)
      continue;
    const { uptimeMs, mountNamespace: inode } = record;
    if (!newest || uptimeMs >= newest.uptimeMs)
      newest = { uptimeMs, mountNamespace: inode };
  }
  return newest?.mountNamespace;
}

/** Whether a recorded path means the same file here and for the runtime. */
export function isSeen(
  record: Pick<AttachmentRecord, "mountNamespace">,
  host: Host,
  { own, first } = mountNamespaces(),
): boolean {
  return host.isOurs && (record.mountNamespace ?? first ?? own) === own;
}
