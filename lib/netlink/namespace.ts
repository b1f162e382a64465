/**
 * Being in another network namespace for the time of one function. The kernel
 * keeps the namespace per thread, so the function must be synchronous: a promise
 * would let other work of this thread run in the pod's network.
 */
import { closeSync, constants, openSync } from "node:fs";
import { errnoOf, quote } from "../cni/error.ts";
import { SystemError } from "../cni/errno.ts";
import { setns } from "./libc.ts";
import { step } from "./step.ts";

/**
 * What `action` returns inside the network namespace at `path`; the thread is
 * back in its own afterwards, whatever happens. Throws CniError.
 */
export function inNetns<T>(path: string, action: () => T): T {
  const target = step(`failed to open network namespace ${quote(path)}`, () =>
    open(path),
  );
  try {
    const home = step("failed to open the own network namespace", () =>
      open("/proc/thread-self/ns/net"),
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
      closeSync(home);
    }
  } finally {
    closeSync(target);
  }
}

/** Without waiting, should it be a named pipe. Throws SystemError. */
function open(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw new SystemError(errnoOf(error) ?? "EIO");
  }
}
