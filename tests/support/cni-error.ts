import { expect } from "bun:test";
import { CniError } from "../../lib/cni/error.ts";

/** Matches a CniError with that code, message and details. */
export function cniError(
  code: number,
  message: unknown,
  details?: unknown,
): unknown {
  return expect.objectContaining({ name: "CniError", code, message, details });
}

/** Matches the refusal of an annotation, a configuration or a definition. */
export function refusal(message: unknown): unknown {
  return expect.objectContaining({ name: "CniError", code: 7, message });
}

/** The error of a promise; undefined for one that is fulfilled. */
export function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** Code and message of the CniError that the work throws. */
export function errorOf(work: () => unknown): {
  code: number;
  message: string;
} {
  try {
    work();
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    return { code: error.code, message: error.message };
  }
  throw new Error("nothing was thrown");
}
