/**
 * Network namespaces by path: whether a path is one still, in which mount namespace
 * paths are told, and being in one for the time of one function. The kernel keeps the
 * namespace per thread, so that function must be synchronous: a promise would let
 * other work of this thread run in the pod's network.
 */
import { step } from "./errno.ts";
import { Open, type Status, close, open, statusIfAny } from "./file-calls.ts";
import { SYS, call, checked } from "./libc.ts";
import { quote } from "./text.ts";

const ownNetns = "/proc/self/ns/net";

/** `"device:inode"` of the namespace at a path; undefined when it is none. */
export function namespaceId(path: string): string | undefined {
  const file = statusOf(path);
  // Namespaces are files of a file system of their own.
  return file?.device === statusOf(ownNetns)?.device ? file?.id : undefined;
}

/**
 * The inode of a process's mount namespace; undefined where it cannot be read. A
 * network namespace is mounted at its path in that of the runtime, perhaps nowhere else.
 */
export function mountNamespace(
  process: "self" | "1" = "self",
): string | undefined {
  const id = statusOf(`/proc/${process}/ns/mnt`)?.id;
  return id?.slice(id.lastIndexOf(":") + 1);
}

/** False also for the plain file that outlives its namespace, on which nothing is mounted any more. */
export function isNamespace(path: string): boolean {
  return namespaceId(path) !== undefined;
}

/**
 * The recorded namespace if it is there still, else "". No namespace outlives a
 * boot, and `/proc/<pid>/ns/net` leads to another one, perhaps the node's own,
 * when the number is used again: nothing may be deleted there.
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
 * What a delegate's DEL is given: plugins take no namespace for success and a
 * missing path too, but fail on a file that is none (P-DEL-1).
 */
export function deletableNetns(path: string): string {
  return statusOf(path) === undefined || isNamespace(path) ? path : "";
}

/** undefined also for what we may not look at. */
function statusOf(path: string): Status | undefined {
  try {
    return path === "" ? undefined : statusIfAny(path);
  } catch {
    return undefined;
  }
}

/**
 * What `action` returns inside the network namespace at `path`; the thread is
 * back in its own afterwards, whatever happens. Throws StepError.
 */
export function inNetns<T>(path: string, action: () => T): T {
  const target = step(`failed to open network namespace ${quote(path)}`, () =>
    openNow(path),
  );
  try {
    const home = step("failed to open the own network namespace", () =>
      openNow("/proc/thread-self/ns/net"),
    );
    try {
      step(`failed to enter network namespace ${quote(path)}`, () =>
        setns(target),
      );
      try {
        return action();
      } finally {
        step("failed to return to the own network namespace", () =>
          setns(home),
        );
      }
    } finally {
      close(home);
    }
  } finally {
    close(target);
  }
}

/** O_NONBLOCK: opening a FIFO must not block. Throws SystemError. */
function openNow(path: string): number {
  return open(path, Open.readOnly | Open.nonBlocking);
}

const CLONE_NEWNET = 0x40000000;

/** Moves the calling thread, and no other, into a network namespace. Throws SystemError. */
export function setns(fd: number): void {
  checked(call(SYS.setns, fd, CLONE_NEWNET));
}
