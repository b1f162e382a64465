/**
 * The runtime's own records of a container, as libcni keeps them (cni-runtime.md §2.4):
 * the entries of its cache, and the result in a request. DEL works without any of them.
 */
import * as v from "valibot";
import { formatCniArgs } from "../../cni/args.ts";
import { type NetworkConfigList, parseAnyConf } from "../../cni/conflist.ts";
import { executesAny } from "../../cni/executable-types.ts";
import {
  type JsonObject,
  isObject,
  mismatch,
  own,
  ownText,
  parseJson,
} from "../../cni/json.ts";
import { type Result, parseResult } from "../../cni/result.ts";
import { object, parse } from "../../cni/schema.ts";
import { type CniVersion, latestVersion } from "../../cni/version.ts";
import { messageOf } from "../../linux/errno.ts";
import { readOwnFileIfAny } from "../../linux/own-files.ts";
import type { Attachment } from "../../select/attachment.ts";
import { ownTypes } from "../../select/node-networks.ts";
import type { Context } from "../context.ts";

/** Limit of a file of Multus and of an entry of the cache, in bytes. */
export const maxForeignBytes = 16 << 20;

/** A configuration: a JSON object in base64. Throws Error. */
export function decodedObject(base64: string, depth?: number): JsonObject {
  const text = Buffer.from(base64, "base64").toString();
  const value = parseJson(text, depth);
  if (!isObject(value)) throw new Error(mismatch("an object", value));
  return value;
}

/** An entry of libcni's cache for the container (cni-runtime.md §2.4). */
interface CacheEntry {
  /** Absent if it is unreadable, or names genie or Multus. */
  attachment?: Attachment;
  result?: Result | undefined;
}

/** Their entries do not name their delegates. */
const metaPlugins = ["multus", "multus-shim"];

/** Levels of nesting: the limit of encoding/json. */
const cacheDepth = 10_000;

const cachedCall = object({
  kind: v.literal("cniCacheV1"),
  config: v.string(),
});

const cachedArgs = v.array(v.tuple([v.string(), v.string()]));

export function readCacheEntries(
  context: Context,
  paths: readonly string[],
): CacheEntry[] {
  return paths.flatMap((path) => {
    try {
      return readCacheEntry(path, context) ?? [];
    } catch (error) {
      context.log().debug("failed to read an entry of the runtime's cache", {
        path,
        error: messageOf(error),
      });
      return {};
    }
  });
}

/** undefined for another container, and for a missing file. Throws Error. */
function readCacheEntry(
  path: string,
  { request, config }: Context,
): CacheEntry | undefined {
  const { containerId, ifname } = request;
  const text = readOwnFileIfAny(path, maxForeignBytes);
  if (text === undefined) return undefined;
  const entry = parseJson(text, cacheDepth);
  // The parts of a file name are joined by dashes, which they may contain.
  if (namesAnother(entry, "containerId", containerId)) return undefined;
  if (namesAnother(entry, "ifName", ifname)) return undefined;
  const call = parse(cachedCall, entry, Error);
  const list = cachedList(call.config, own(entry, "networkName"));
  if (executesAny(list.plugins, [...ownTypes(config), ...metaPlugins]))
    return {};
  const capabilityArgs = own(entry, "capabilityArgs");
  const cniArgs = own(entry, "cniArgs");
  return {
    attachment: {
      list,
      ifname,
      // libcni omits the key if ADD had no arguments.
      args: formatCniArgs(v.is(cachedArgs, cniArgs) ? cniArgs : []),
      capabilityArgs: isObject(capabilityArgs) ? capabilityArgs : {},
    },
    result: resultIfAny(own(entry, "result"), latestVersion),
  };
}

/** Whether the entry's `key` is a string other than `expected`. */
function namesAnother(entry: unknown, key: string, expected: string): boolean {
  return (ownText(entry, key) ?? expected) !== expected;
}

function cachedList(base64: string, name: unknown): NetworkConfigList {
  const config = decodedObject(base64, cacheDepth);
  // libcni executed the plugins of a list, also of one with a type of its own.
  const isList = own(config, "plugins") !== undefined;
  const list = parseAnyConf(isList ? { ...config, type: "" } : config, name);
  if (list.plugins.length === 0) throw new Error("config: no plugins in list");
  return list;
}

/** The result that the runtime keeps for CNI_IFNAME. */
export function givenResult({ request }: Context): ReadonlyMap<string, Result> {
  const { config, cniVersion, ifname } = request;
  const result = resultIfAny(config["prevResult"], cniVersion);
  return new Map(result && [[ifname, result]]);
}

/** DEL works without a result, and with an invalid one (P-DEL-1). */
function resultIfAny(value: unknown, version: CniVersion): Result | undefined {
  try {
    return isObject(value) ? parseResult(value, version) : undefined;
  } catch {
    return undefined;
  }
}
