/**
 * Being in another network namespace for the time of one function. The kernel
 * keeps the namespace per thread, so the function must be synchronous: a promise
 * would let other work of this thread run in the pod's network.
 */
import { quote } from "./text.ts";
import { Open, close, open } from "./libc.ts";
import { setns } from "./netlink-calls.ts";
import { step } from "./netlink-step.ts";

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

/** Without waiting, should it be a named pipe. Throws SystemError. */
function openNow(path: string): number {
  return open(path, Open.readOnly | Open.nonBlocking);
}
