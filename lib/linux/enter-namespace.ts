/**
 * Runs one function inside a network or mount namespace. The kernel keeps the namespace
 * per thread, so that function must be synchronous: a promise would let other work of
 * this thread run in the pod's network.
 */
import { step } from "./errno.ts";
import { Open, close, open } from "./file-calls.ts";
import { SYS, call, checked } from "./libc.ts";
import { quote } from "./text.ts";

/** One kind of namespace: the path of the thread's own, and how to enter and leave. */
interface Kind {
  name: string;
  own: string;
  enter(fd: number): void;
  leave(fd: number): void;
}

/**
 * Runs `action` inside the network namespace at `path` and returns its result;
 * afterwards the thread is always back in its own. Throws StepError.
 */
export function inNetns<T>(path: string, action: () => T): T {
  const own = "/proc/thread-self/ns/net";
  const kind = { name: "network namespace", own, enter: setns, leave: setns };
  return inNamespace(kind, path, action);
}

/**
 * Runs `action` with this thread in the mount namespace at `path`, then returns to the
 * own one, whose root is then the working directory. Throws StepError.
 */
export function inMountNamespace<T>(path: string, action: () => T): T {
  const own = "/proc/thread-self/ns/mnt";
  const leave = (fd: number) => checked(call(SYS.setns, fd, CLONE_NEWNS));
  const enter = (fd: number) => {
    // A thread that shares its root with others may not leave.
    checked(call(SYS.unshare, CLONE_FS));
    leave(fd);
  };
  return inNamespace(
    { name: "mount namespace", own, enter, leave },
    path,
    action,
  );
}

function inNamespace<T>(kind: Kind, path: string, action: () => T): T {
  const { name } = kind;
  // Quoted for an error only.
  const target = step(
    () => `failed to open ${name} ${quote(path)}`,
    () => openNow(path),
  );
  try {
    const home = step(`failed to open the own ${name}`, () =>
      openNow(kind.own),
    );
    try {
      step(
        () => `failed to enter ${name} ${quote(path)}`,
        () => kind.enter(target),
      );
      try {
        return action();
      } finally {
        step(`failed to return to the own ${name}`, () => kind.leave(home));
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

const CLONE_FS = 0x200;
const CLONE_NEWNS = 0x20000;
const CLONE_NEWNET = 0x40000000;

/** Moves the calling thread only into a network namespace. Throws SystemError. */
export function setns(fd: number): void {
  checked(call(SYS.setns, fd, CLONE_NEWNET));
}
