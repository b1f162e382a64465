/** Failures as values, where a command goes on after them. */
import { messageOf } from "../../linux/errno.ts";

/** The result of `read`; undefined if it throws, where the reason does not matter. */
export function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The message of the error that `check` throws; undefined if it throws none. */
export function problemOf(check: () => unknown): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
