/**
 * Network namespaces by path: whether a path still is one, in which mount namespace
 * the path is valid, and running one function inside; the same for mount namespaces.
 * The kernel keeps the namespace per thread, so that function must be synchronous: a
 * promise would let other work of this thread run in the pod's network.
 */
import { step } from "./errno.ts";
import { Open, type Status, close, open, statusIfAny } from "./file-calls.ts";
import { SYS, call, checked } from "./libc.ts";
import { quote } from "./text.ts";

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

/**
 * Runs `action` inside the network namespace at `path` and returns its result;
 * afterwards the thread is always back in its own. Throws StepError.
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

/**
 * Runs `action` with this thread in the mount namespace at `path`, then returns to the
 * own one, whose root is then the working directory. Throws StepError.
 */
export function inMountNamespace<T>(path: string, action: () => T): T {
  const target = step(`failed to open mount namespace ${quote(path)}`, () =>
    openNow(path),
  );
  try {
    const home = step("failed to open the own mount namespace", () =>
      openNow("/proc/thread-self/ns/mnt"),
    );
    try {
      step(`failed to enter mount namespace ${quote(path)}`, () => {
        // A thread that shares its root with others may not leave.
        checked(call(SYS.unshare, CLONE_FS));
        checked(call(SYS.setns, target, CLONE_NEWNS));
      });
      try {
        return action();
      } finally {
        step("failed to return to the own mount namespace", () =>
          checked(call(SYS.setns, home, CLONE_NEWNS)),
        );
      }
    } finally {
      close(home);
    }
  } finally {
    close(target);
  }
}

const CLONE_FS = 0x200;
const CLONE_NEWNS = 0x20000;
const CLONE_NEWNET = 0x40000000;

/** Moves the calling thread only into a network namespace. Throws SystemError. */
export function setns(fd: number): void {
  checked(call(SYS.setns, fd, CLONE_NEWNET));
}
