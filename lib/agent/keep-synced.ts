/**
 * Renews a file by which ADD relies on the agent, while the API server's objects are known
 * or the server is away; not after 401 or 403 (agent.md `--cache`).
 */
import type { Context } from "../attach/context.ts";
import { replaceFile } from "../linux/files.ts";
import { renewEveryMs, syncedText } from "../state/synced.ts";
import { pause } from "./timing.ts";
import type { Informer } from "./watch/informer.ts";

/** Milliseconds between two looks at an informer that has not listed yet. */
const startMs = 1000;

/**
 * Until the signal is aborted, or `isReady` throws. `isReady` tells whether the statement
 * of the file is true.
 */
export async function keepSynced(
  path: string,
  source: Informer<unknown>,
  { dependencies }: Context,
  signal: AbortSignal,
  isReady: () => boolean,
): Promise<void> {
  while (!signal.aborted) {
    const state = source.state();
    if (isReady() && (state === "current" || state === "away"))
      replaceFile(path, syncedText(dependencies));
    await (source.hasListed
      ? pause(renewEveryMs, signal)
      : Promise.race([pause(startMs, signal), source.listed]));
  }
}
