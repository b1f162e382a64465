/**
 * The second try of a plugin that failed with "file exists" because an earlier network
 * of the pod has a default route (selection.md §8). Loaded when an ADD of several
 * networks fails with these words.
 */
import { CniError } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import type { Result } from "../cni/result.ts";
import type { Rtnetlink } from "../linux/routes.ts";

export interface SecondTry {
  routing: Rtnetlink;
  /** The indexes of the interfaces of all earlier attachments. */
  earlier: ReadonlySet<number>;
  add(): Promise<Result>;
  /** What the first try left. */
  del(): Promise<void>;
}

/** Whether the words of a plugin say that something is there already. */
export function saysFileExists({ message, details = "" }: CniError): boolean {
  return /file exists/i.test(`${message}\n${details}`);
}

/**
 * The result of the second try; throws its error, or `failure` where there is none: no
 * earlier default route, or a DEL that fails. The routes are then as before.
 */
export async function tryAgain(
  failure: CniError,
  { routing, earlier, add, del }: SecondTry,
): Promise<Result> {
  const { hasDefaultRoute, putBack, takeOut } =
    await import("../linux/routes.ts");
  if (!hasDefaultRoute(routing, earlier)) throw failure;
  try {
    await del();
  } catch (cause) {
    const reason = `failed to delete it before a second try: ${messageOf(cause)}`;
    throw new CniError(failure.code, failure.message, {
      details: [failure.details, reason].filter(Boolean).join("; "),
      cause,
    });
  }
  const taken = takeOut(routing, earlier);
  let result: Result;
  try {
    result = await add();
  } catch (error) {
    restore();
    throw error;
  }
  putBack(routing, taken);
  return result;

  /** All networks are deleted now: what cannot be put back would have gone with them. */
  function restore(): void {
    try {
      putBack(routing, taken);
    } catch {}
  }
}
