/**
 * A plugin that could not be started: an executable that is being replaced is "busy" for
 * a moment, so it is started again (cni-runtime.md F-7). Loaded only then.
 */
import { errnoOf } from "../linux/errno.ts";
import type { Exec, ExecRequest, ExecResult } from "../linux/exec.ts";
import { notStarted } from "./plugin-error.ts";

const busyTries = 6;
const busyPauseMs = 1000;

/**
 * After the first try failed with `error`, until the deadline of all tries; `next` returns
 * the next request, or throws. Throws 7 or 11 for the last try.
 */
export async function executeAgain(
  { path, deadline }: Pick<ExecRequest, "path" | "deadline">,
  error: unknown,
  next: () => ExecRequest,
  { exec, sleep }: { exec: Exec; sleep(ms: number): Promise<void> },
): Promise<ExecResult> {
  let failure = error;
  for (let tries = 1; ; tries++) {
    const isBusy = errnoOf(failure) === "ETXTBSY" && tries < busyTries;
    if (!isBusy || deadline.remaining <= busyPauseMs)
      throw notStarted(path, failure);
    await sleep(busyPauseMs);
    const request = next();
    try {
      return await exec(request);
    } catch (cause) {
      failure = cause;
    }
  }
}
