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
  removeFile,
  replaceFile,
} from "../linux/files.ts";
import { makeOwnDirectory, readOwnFileIfAny } from "../linux/own-files.ts";
import {
  definitionFile,
  definitionsDirectory,
  textOfDefinition,
} from "../state/cached-definition.ts";
import { ageOf, definitionsSynced } from "../state/synced.ts";
import { namespacedName } from "./watch/kinds.ts";
import type { Part } from "./part.ts";
import { keepSynced } from "./keep-synced.ts";

export const definitionCache: Part = {
  name: "cache",
  synced: (agent) => agent.definitions().state() === "current",
  async run(agent, signal) {
    const { dependencies, config } = agent.context;
    const synced = `${config.dataDir}/${definitionsSynced}`;
    const source = agent.definitions();
    const files = new DefinitionFiles(config.dataDir);
    // While the API server is away, the files of the agent before us are the newest.
    const isResumed = ageOf(synced, dependencies) !== undefined;
    let failure: { error: unknown } | undefined;
    const unsubscribe = source.subscribe((change, definition) => {
      if (!files.areWritten) return;
      try {
        files.follow(change, definition);
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
      if (!source.hasListed) return isResumed;
      if (!files.areWritten) {
        const count = files.writeAll(source.list());
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

/** The directory of the cache, one file for each definition. Methods throw SystemError. */
class DefinitionFiles {
  readonly #directory: string;
  #areWritten = false;

  constructor(dataDir: string) {
    this.#directory = `${dataDir}/${definitionsDirectory}`;
    makeOwnDirectory(this.#directory);
  }

  /** Whether {@link writeAll} has succeeded: from then on changes are to be followed. */
  get areWritten(): boolean {
    return this.#areWritten;
  }

  /** Makes the directory hold these definitions and nothing else; writes what differs. */
  writeAll(definitions: readonly NetworkAttachmentDefinition[]) {
    const count = { written: 0, removed: 0, unchanged: 0 };
    const expected = new Map(
      definitions.map((definition) => [this.#pathOf(definition), definition]),
    );
    for (const file of listIfAny(this.#directory)) {
      const path = `${this.#directory}/${file}`;
      if (file === ".synced" || expected.has(path)) continue;
      removeFile(path);
      count.removed++;
    }
    for (const [path, definition] of expected) {
      const text = textOfDefinition(definition);
      if (textIfAny(path) === text) count.unchanged++;
      else {
        replaceFile(path, text);
        count.written++;
      }
    }
    this.#areWritten = true;
    return count;
  }

  follow(
    change: "put" | "delete",
    definition: NetworkAttachmentDefinition,
  ): void {
    const path = this.#pathOf(definition);
    if (change === "delete") removeFile(path);
    else replaceFile(path, textOfDefinition(definition));
  }

  #pathOf({ metadata }: NetworkAttachmentDefinition): string {
    const { namespace = "", name = "" } = metadata;
    return `${this.#directory}/${definitionFile(namespace, name)}`;
  }
}

function textIfAny(path: string): string | undefined {
  try {
    return readOwnFileIfAny(path, 4 << 20);
  } catch (error) {
    if (error instanceof UnreadableFile) return undefined;
    throw error;
  }
}
