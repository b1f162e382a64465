/**
 * Finds the records that other programs made of a container before genie was installed:
 * Multus' file, and entries of libcni's cache (state.md "DEL"). `multus-record` and
 * `unrecorded` read them.
 */
import { linkExists, listIfAny } from "../../linux/files.ts";
import type { Context } from "../context.ts";

export interface ForeignRecords {
  /** The file of Multus, if any. */
  multusFile: string | undefined;
  /** The entries of the runtime's cache. */
  cacheEntries: readonly string[];
}

/** undefined if there is none; a few system calls. */
export function foreignRecords(context: Context): ForeignRecords | undefined {
  const path = multusPath(context, context.request.containerId);
  const multusFile = path !== undefined && linkExists(path) ? path : undefined;
  const entries = cacheEntries(context);
  return multusFile !== undefined || entries.length > 0
    ? { multusFile, cacheEntries: entries }
    : undefined;
}

/** `<multusDir>/<containerID>`; undefined if Multus' files are ignored. */
export function multusPath(
  { config: { multusDir } }: Context,
  containerId: string,
): string | undefined {
  return multusDir === "" ? undefined : `${multusDir}/${containerId}`;
}

/**
 * `<runtimeCacheDir>/<network>-<containerID>-<interface>`: libcni makes them after a
 * successful ADD, and removes them after a successful DEL.
 */
function cacheEntries({ request, config }: Context): string[] {
  const { runtimeCacheDir: directory } = config;
  if (directory === "") return [];
  const end = `-${request.containerId}-${request.ifname}`;
  try {
    return listIfAny(directory, end).map((name) => `${directory}/${name}`);
  } catch {
    // A directory that we may not read is not used.
    return [];
  }
}
