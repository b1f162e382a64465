/**
 * One step of a longer operation: what the kernel refused becomes an error that
 * says which step it was.
 */
import { StepError, SystemError } from "./errno.ts";

/** What `work` returns. Throws StepError `<failure>: <the kernel's reason>` for a SystemError. */
export function step<T>(failure: string | (() => string), work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new StepError(
      typeof failure === "string" ? failure : failure(),
      error,
    );
  }
}
