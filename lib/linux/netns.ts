/**
 * Network namespaces by path: whether a path still is one, and in which mount namespace
 * the path is valid. `enter-namespace` runs a function inside.
 */
import { type Status, statusIfAny } from "./file-calls.ts";

const ownNetns = "/proc/self/ns/net";

/** `"device:inode"` of the namespace at a path; undefined if there is none. */
export function namespaceId(path: string): string | undefined {
  const file = statusOf(path);
  // Namespaces are files of their own file system.
  return file?.device === statusOf(ownNetns)?.device ? file?.id : undefined;
}

/**
 * The inode of a process's mount namespace; undefined if unreadable. A network
 * namespace is mounted at its path in the runtime's mount namespace, perhaps
 * nowhere else.
 */
export function mountNamespace(
  process: "self" | "1" = "self",
): string | undefined {
  const id = statusOf(`/proc/${process}/ns/mnt`)?.id;
  return id?.slice(id.lastIndexOf(":") + 1);
}

/** False also for the plain file that remains after a namespace is unmounted. */
export function isNamespace(path: string): boolean {
  return namespaceId(path) !== undefined;
}

/**
 * The recorded namespace if it still exists, else "". No namespace survives a boot,
 * and `/proc/<pid>/ns/net` means another one, perhaps the node's own, when the
 * number is reused: nothing may be deleted there.
 */
export function recordedNetns(
  record: { netns: string; netnsId?: string | undefined; bootId: string },
  bootId: string,
): string {
  const id = namespaceId(record.netns);
  const isOurs = id === namespaceId(ownNetns);
  const isAnother = record.netnsId !== undefined && record.netnsId !== id;
  return record.bootId !== bootId || id === undefined || isOurs || isAnother
    ? ""
    : record.netns;
}

/**
 * The CNI_NETNS of a delegate's DEL. Plugins accept an empty or missing path, but
 * fail on a file that is no namespace (P-DEL-1).
 */
export function deletableNetns(path: string): string {
  return statusOf(path) === undefined || isNamespace(path) ? path : "";
}

/** undefined also for a path that we may not read. */
function statusOf(path: string): Status | undefined {
  try {
    return path === "" ? undefined : statusIfAny(path);
  } catch {
    return undefined;
  }
}
