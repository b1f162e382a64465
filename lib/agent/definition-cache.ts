/**
 * `--cache`: the network attachment definitions of the cluster in
 * `<dataDir>/definitions`, so that ADD needs no GET (agent.md). `.synced` vouches for the
 * directory: it is renewed only while every definition is there as the API server has it,
 * or had it when it could last be reached.
 */
import type { NetworkAttachmentDefinition } from "../kube/objects.ts";
import {
  UnreadableFile,
  listIfAny,
  makeOwnDirectory,
  readOwnFileIfAny,
  removeFile,
  replaceFile,
} from "../linux/files.ts";
import {
  definitionFile,
  definitionsDirectory,
  textOfDefinition,
} from "../state/cached-definition.ts";
import { ageOf, definitionsSynced } from "../state/synced.ts";
import { namespacedName } from "./kinds.ts";
import type { Part } from "./part.ts";
import { keepSynced } from "./keep-synced.ts";

export const definitionCache: Part = {
  name: "cache",
  synced: (agent) => agent.definitions().state() === "current",
  async run(agent, signal) {
    const { dependencies, config } = agent.context;
    const directory = `${config.dataDir}/${definitionsDirectory}`;
    const synced = `${config.dataDir}/${definitionsSynced}`;
    const source = agent.definitions();
    makeOwnDirectory(directory);
    // While the API server is away, the files of the agent before us are the newest.
    const isResumed = ageOf(synced, dependencies) !== undefined;
    let isWritten = false;
    let failure: { error: unknown } | undefined;
    const unsubscribe = source.subscribe((change, definition) => {
      const { namespace = "", name = "" } = definition.metadata;
      const path = `${directory}/${definitionFile(namespace, name)}`;
      if (!isWritten) return;
      try {
        if (change === "delete") removeFile(path);
        else replaceFile(path, textOfDefinition(definition));
        agent.log("debug", "definition in the cache", {
          definition: namespacedName(definition.metadata),
          change,
        });
      } catch (error) {
        failure ??= { error };
        removeFile(synced);
      }
    });
    const isReady = (): boolean => {
      if (failure) throw failure.error;
      if (!source.hasStarted) return isResumed;
      if (!isWritten) {
        const count = writeAll(directory, source.list());
        isWritten = true;
        agent.log("info", "definitions in the cache", count);
      }
      return true;
    };
    try {
      await keepSynced(synced, source, agent.context, signal, isReady);
    } catch (error) {
      removeFile(synced);
      throw error;
    } finally {
      unsubscribe();
    }
  },
};

/** Without `--cache` no ADD may trust the files of an earlier agent. */
export function removeSynced(dataDir: string): void {
  removeFile(`${dataDir}/${definitionsSynced}`);
}

/** Makes the directory hold these definitions and nothing else; writes what differs. */
function writeAll(
  directory: string,
  definitions: readonly NetworkAttachmentDefinition[],
): { written: number; removed: number; unchanged: number } {
  const count = { written: 0, removed: 0, unchanged: 0 };
  const expected = new Map(
    definitions.map((definition) => {
      const { namespace = "", name = "" } = definition.metadata;
      return [definitionFile(namespace, name), definition];
    }),
  );
  for (const file of listIfAny(directory)) {
    if (file === ".synced" || expected.has(file)) continue;
    removeFile(`${directory}/${file}`);
    count.removed++;
  }
  for (const [file, definition] of expected) {
    const path = `${directory}/${file}`;
    const text = textOfDefinition(definition);
    if (textIfAny(path) === text) count.unchanged++;
    else {
      replaceFile(path, text);
      count.written++;
    }
  }
  return count;
}

function textIfAny(path: string): string | undefined {
  try {
    return readOwnFileIfAny(path, 4 << 20);
  } catch (error) {
    if (error instanceof UnreadableFile) return undefined;
    throw error;
  }
}
