/**
 * Whether somebody else recorded a container that we have no record of, so that it
 * was attached before genie was installed (state.md "DEL"). Every second DEL asks;
 * nothing is read here.
 */
import { linkStatusIfAny, listIfAny } from "../linux/files.ts";
import type { Context } from "./context.ts";

export interface FormerTraces {
  /** The file of Multus, if it is there. */
  multusFile: string | undefined;
  /** The entries of the runtime's cache: libcni makes one after a successful ADD, and removes it after a successful DEL. */
  cacheEntries: readonly string[];
}

/** undefined where there is nothing, which costs a few system calls. */
export function formerTraces(context: Context): FormerTraces | undefined {
  const path = multusPath(context, context.request.containerId);
  const multusFile = path && isThere(path) ? path : undefined;
  const entries = cacheEntries(context);
  return multusFile !== undefined || entries.length > 0
    ? { multusFile, cacheEntries: entries }
    : undefined;
}

/** `<multusDir>/<containerID>`; undefined where they are not to be looked for. */
export function multusPath(
  { config: { multusDir } }: Context,
  containerId: string,
): string | undefined {
  return multusDir === "" ? undefined : `${multusDir}/${containerId}`;
}

/** `<runtimeCacheDir>/<network>-<containerID>-<interface>`. */
function cacheEntries({ request, config }: Context): string[] {
  const { runtimeCacheDir: directory } = config;
  if (directory === "") return [];
  const end = `-${request.containerId}-${request.ifname}`;
  try {
    return listIfAny(directory, end).map((name) => `${directory}/${name}`);
  } catch {
    // A directory that we may not read is none of ours.
    return [];
  }
}

function isThere(path: string): boolean {
  try {
    return linkStatusIfAny(path) !== undefined;
  } catch {
    return false;
  }
}
