/**
 * The cache of libcni, in which the runtime keeps what it executed for a container
 * (cni-runtime.md §2.4): of a container that was attached before genie it says
 * exactly what is to be deleted. Only read: the runtime removes its entries itself.
 */
import { formatCniArgs } from "../cni/args.ts";
import { type NetworkConfigList, parseAnyConf } from "../cni/conflist.ts";
import { messageOf } from "../linux/errno.ts";
import { executesAny } from "../cni/executable-types.ts";
import { readOwnFileIfAny } from "../linux/files.ts";
import { isObject, own, parseJson } from "../cni/json.ts";
import { type Result, parseResult } from "../cni/result.ts";
import { latestVersion } from "../cni/version.ts";

import type { Attachment } from "../select/select.ts";
import { type Context, ownTypes } from "./context.ts";

/** An entry of the container. */
export interface CacheEntry {
  /** What was executed; absent where that cannot be read, or was genie or Multus. */
  attachment?: Attachment;
  result?: Result | undefined;
}

/** Executed by the runtime in the time of Multus, whose own delegates are not known from here. */
const metaPlugins = ["multus", "multus-shim"];

/** Levels that libcni wrote: as many as encoding/json takes. */
const cacheDepth = 10_000;

/** Without those that are of another container: names are only joined by dashes. */
export function readCacheEntries(
  context: Context,
  paths: readonly string[],
): CacheEntry[] {
  return paths.flatMap((path) => {
    try {
      return entryOf(path, context) ?? [];
    } catch (error) {
      context.log().debug("failed to read an entry of the runtime's cache", {
        path,
        error: messageOf(error),
      });
      return {};
    }
  });
}

/** A configuration, its arguments and its result. */
const maxBytes = 16 << 20;

/** undefined for another container's, or where there is none any more. Throws Error. */
function entryOf(path: string, context: Context): CacheEntry | undefined {
  const { request, config } = context;
  const text = readOwnFileIfAny(path, maxBytes);
  if (text === undefined) return undefined;
  const entry = parseJson(text, cacheDepth);
  const named = (key: string, expected: string): boolean => {
    const value = own(entry, key);
    return typeof value !== "string" || value === expected;
  };
  if (
    !named("containerId", request.containerId) ||
    !named("ifName", request.ifname)
  )
    return undefined;
  const list = listOf(entry);
  const types = [...ownTypes(config), ...metaPlugins];
  if (executesAny(list.plugins, types)) return {};
  const capabilityArgs = own(entry, "capabilityArgs");
  return {
    attachment: {
      list,
      ifname: request.ifname,
      args: argsOf(entry) ?? request.args,
      capabilityArgs: isObject(capabilityArgs) ? capabilityArgs : {},
    },
    result: resultOf(entry),
  };
}

function listOf(entry: unknown): NetworkConfigList {
  if (own(entry, "kind") !== "cniCacheV1")
    throw new Error("kind: expected cniCacheV1");
  const config = own(entry, "config");
  if (typeof config !== "string") throw new Error("config: expected a string");
  const value = parseJson(Buffer.from(config, "base64").toString(), cacheDepth);
  if (!isObject(value)) throw new Error("config: expected an object");
  const list = parseAnyConf(value, own(entry, "networkName"));
  if (list.plugins.length === 0) throw new Error("config: no plugins in list");
  return list;
}

/** `[["K","V"],…]` as CNI_ARGS; undefined where the entry does not say. */
function argsOf(entry: unknown): string | undefined {
  const args = own(entry, "cniArgs");
  if (!Array.isArray(args)) return undefined;
  const pairs: [string, string][] = [];
  for (const pair of args) {
    const texts: readonly unknown[] = Array.isArray(pair) ? pair : [];
    const [key, value] = texts;
    if (typeof key === "string" && typeof value === "string")
      pairs.push([key, value]);
  }
  return formatCniArgs(pairs);
}

function resultOf(entry: unknown): Result | undefined {
  const result = own(entry, "result");
  if (!isObject(result)) return undefined;
  try {
    return parseResult(result, latestVersion);
  } catch {
    // DEL works without one.
    return undefined;
  }
}
