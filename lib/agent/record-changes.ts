/** The records whose files change, for parts that follow them (inotify). */
import { watch } from "node:fs";
import type { Context } from "../attach/context.ts";
import { makeOwnDirectory } from "../linux/own-files.ts";
import { recordDirectory } from "../state/record-directory.ts";
import { aborted } from "./timing.ts";

/**
 * Until the signal is aborted: the names of all records first, then of those that are
 * written or removed. All of them come again each `everyMs`, because events may be lost
 * and another directory may have the name. Throws 5.
 */
export async function* recordChanges(
  { config }: Context,
  everyMs: number,
  signal: AbortSignal,
): AsyncGenerator<ReadonlySet<string>, void, undefined> {
  const records = recordDirectory({ config });
  const directory = `${config.dataDir}/attachments`;
  let known: ReadonlySet<string> = new Set();
  while (!signal.aborted) {
    const end = AbortSignal.any([signal, AbortSignal.timeout(everyMs)]);
    const ended = aborted(end);
    let changed = new Set<string>();
    let next = Promise.withResolvers<void>();
    makeOwnDirectory(directory);
    const watcher = watch(directory, (_event, file) => {
      const name = /^([^.].*?)(?:\.result)?\.json$/.exec(file ?? "")?.[1];
      if (name === undefined) return;
      changed.add(name);
      next.resolve();
    });
    // The directory is gone: it is made again with the next look at all records.
    watcher.on("error", () => {});
    try {
      const listed = records.names();
      yield new Set([...known, ...listed]);
      const seen = new Set(listed);
      known = seen;
      while (!end.aborted) {
        await Promise.race([next.promise, ended]);
        const names = changed;
        changed = new Set();
        next = Promise.withResolvers();
        for (const name of names) seen.add(name);
        yield names;
      }
    } finally {
      watcher.close();
    }
  }
}
