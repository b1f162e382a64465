/**
 * DEL of a container that genie has no record of, and that the runtime attached before genie
 * was installed (state.md "DEL"): by an entry in the cache of libcni, without the API
 * server. Few containers are, so DEL loads this when it meets one.
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
import type { Deadline } from "../../linux/deadline.ts";
import { messageOf } from "../../linux/errno.ts";
import { readOwnFileIfAny } from "../../linux/files.ts";
import {
  type Annotations,
  type Attachment,
  cniAnnotation,
  displayName,
} from "../../select/attachment.ts";
import type { SelectionContext } from "../../select/selection-context.ts";
import { parseNetworks } from "../../select/cni-annotation.ts";
import { nameInterfaces } from "../../select/interface-names.ts";
import { isDefaultName } from "../../select/named-network.ts";
import { findNetwork, ownTypes } from "../../select/node-networks.ts";
import { defaultsOrNone } from "../../select/default-network.ts";
import type { Lock } from "../../state/lock.ts";
import { requestAnnotations } from "../choice/pod-annotations.ts";
import { type Context, readNetworks } from "../context.ts";
import { delegateCaller } from "../delegates.ts";
import { deleteAttachments } from "../delete-attachments.ts";
import type { ForeignRecords } from "./foreign-records.ts";

/** Limit of a file of Multus and of an entry of the cache, in bytes. */
export const maxForeignBytes = 16 << 20;

/** A configuration: a JSON object in base64. Throws Error. */
export function decodedObject(base64: string, depth?: number): JsonObject {
  const text = Buffer.from(base64, "base64").toString();
  const value = parseJson(text, depth);
  if (!isObject(value)) throw new Error(mismatch("an object", value));
  return value;
}

/**
 * A best effort, whose errors are only logged: exactly the list that an entry of the
 * cache names; else the networks that the container may have.
 */
export async function deleteCached(
  context: Context,
  { multusFile, cacheEntries }: ForeignRecords,
  lock: Lock | undefined,
  deadline: Deadline,
): Promise<void> {
  const { request, path, log } = context;
  const { containerId, netns, ifname } = request;
  const entries = readCacheEntries(context, cacheEntries);
  if (entries.length === 0 && multusFile === undefined) return;
  const exact = entries.find(({ attachment }) => attachment);
  const { failures } = await deleteAttachments(
    exact?.attachment ? [exact.attachment] : possibleAttachments(context),
    exact?.result ? new Map([[ifname, exact.result]]) : givenResult(context),
    { containerId, netns, path },
    deadline,
    delegateCaller(context, lock),
  );
  for (const { attachment, error } of failures) {
    log().warn("failed to delete a network of a container without a record", {
      network: displayName(attachment),
      ifname: attachment.ifname,
      error: error.message,
    });
  }
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

function readCacheEntries(
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

/** The networks that the request's annotations name, and the default network. */
function possibleAttachments(context: Context): Attachment[] {
  const { request, config } = context;
  const { ifname, args } = request;
  const attempt = <T>(what: string, work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      context.log().debug(`no ${what} for a container without a record`, {
        error: messageOf(error),
      });
      return undefined;
    }
  };
  const annotations =
    attempt("annotations", () => requestAnnotations(context)) ?? {};
  const former = attempt("network", () => {
    const networks = readNetworks(context);
    return formerAttachments({ annotations, config, networks, ifname, args });
  });
  return former ?? [];
}

type FormerSelection = SelectionContext & { annotations: Annotations };

/**
 * A guess: the default network on CNI_IFNAME, and the networks of the `cni` annotation
 * that exist. Whatever does not resolve is left out.
 */
export function formerAttachments(selection: FormerSelection): Attachment[] {
  const { config, ifname, args } = selection;
  const former = [...formerDefault(selection), ...formerChoice(selection)];
  return former.map((network) => ({
    ...network,
    args,
    capabilityArgs: network.ifname === ifname ? config.runtimeConfig : {},
  }));
}

type FormerNetwork = Pick<Attachment, "list" | "ifname">;

/** The default network that ADD attaches to CNI_IFNAME. */
function formerDefault(selection: FormerSelection): FormerNetwork[] {
  const { config, networks, ifname } = selection;
  const defaults = defaultsOrNone(config, networks);
  try {
    const requested = defaults.map((network) => network.ifname);
    const ifnames = nameInterfaces(requested, [], ifname);
    return defaults.flatMap(({ candidate: { list } }, i) =>
      ifnames[i] === ifname ? [{ list, ifname }] : [],
    );
  } catch {
    return [];
  }
}

/** Under the interface names that ADD would give. */
function formerChoice(selection: FormerSelection): FormerNetwork[] {
  const { annotations, networks, ifname: cniIfname } = selection;
  const cni = ownText(annotations, cniAnnotation) ?? "";
  try {
    const elements = parseNetworks('annotation "cni"', cni);
    const requested = elements.map((element) => element.ifname);
    const ifnames = nameInterfaces(requested, [], cniIfname);
    return elements.flatMap((element, i) => {
      const { name } = element;
      // The default network is {@link formerDefault}.
      const isDefault = isDefaultName(name, networks);
      const found = isDefault ? undefined : findNetwork(networks, name);
      const ifname = ifnames[i];
      return found && ifname ? [{ list: found.list, ifname }] : [];
    });
  } catch {
    return [];
  }
}
