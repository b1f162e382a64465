/**
 * Runs one function inside a network or mount namespace. The kernel keeps the namespace
 * per thread, so that function must be synchronous: a promise would let other work of
 * this thread run in the pod's network.
 */
import { step } from "./errno.ts";
import { Open, close, open } from "./file-calls.ts";
import { SYS, call, checked } from "./libc.ts";
import { quote } from "./text.ts";

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
