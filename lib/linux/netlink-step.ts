/**
 * One step of a longer work: what the kernel refused becomes an error that says
 * which step it was.
 */
import { Code, CniError } from "../cni/error.ts";
import { SystemError } from "./errno.ts";

/**
 * What `work` returns. Throws CniError 999 `<failure>: <the kernel's reason>`,
 * with the errno's name and the kernel's own words as details.
 */
export function step<T>(failure: string | (() => string), work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    const text = typeof failure === "string" ? failure : failure();
    throw new CniError(Code.internal, `${text}: ${error.message}`, {
      details: error.note ? `${error.code}: ${error.note}` : error.code,
      cause: error,
    });
  }
}
