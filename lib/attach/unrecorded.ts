/**
 * DEL of a container that another program recorded before genie was installed
 * (state.md "DEL"), without the API server: Multus by a file of its own, or the
 * runtime by an entry in the cache of libcni. Few containers are, so DEL loads this
 * when it meets one.
 */
import * as v from "valibot";
import { formatCniArgs, ifnameProblem } from "../cni/args.ts";
import { type NetworkConfigList, parseAnyConf } from "../cni/conflist.ts";
import { executesAny } from "../cni/executable-types.ts";
import {
  type JsonObject,
  isObject,
  mismatch,
  own,
  parseJson,
} from "../cni/json.ts";
import { type Result, parseResult } from "../cni/result.ts";
import { object, parse } from "../cni/schema.ts";
import { type CniVersion, latestVersion } from "../cni/version.ts";
import type { Deadline } from "../linux/deadline.ts";
import { messageOf } from "../linux/errno.ts";
import { readOwnFileIfAny, removeFile } from "../linux/files.ts";
import {
  type Annotations,
  type Attachment,
  cniAnnotation,
  displayName,
} from "../select/attachment.ts";
import { type SelectionContext, isChoice } from "../select/choice.ts";
import { parseNetworks } from "../select/cni-annotation.ts";
import { nameInterfaces } from "../select/interface-names.ts";
import {
  defaultsOrNone,
  findNetwork,
  ownTypes,
} from "../select/node-networks.ts";
import type { Lock } from "../state/lock.ts";
import type { AttachmentRecord } from "../state/record.ts";
import { newRecord } from "./add-attachments.ts";
import { requestAnnotations } from "./choice/pod-annotations.ts";
import { type Context, readNetworks } from "./context.ts";
import { delegateCaller } from "./delegates.ts";
import { deleteAttachments } from "./delete-attachments.ts";

/** The files of other programs about a container; DEL only lists them. */
export interface FormerTraces {
  /** The file of Multus, if any. */
  multusFile: string | undefined;
  /** The entries of the runtime's cache. */
  cacheEntries: readonly string[];
}

/** Limit of a file of Multus and of an entry of the cache, in bytes. */
const maxBytes = 16 << 20;

/**
 * A record made of the file of Multus, whose DEL is as strict as that of our own, so
 * that a failure is counted as any other; with the runtime's own result. undefined when
 * there is no file, or it cannot be understood, which is logged.
 */
export function multusRecord(
  context: Context,
  { multusFile: path }: FormerTraces,
):
  | { record: AttachmentRecord; results: ReadonlyMap<string, Result> }
  | undefined {
  if (path === undefined) return undefined;
  try {
    const attachments = multusAttachments(path, context);
    if (!attachments) return undefined;
    const record = newRecord(context, attachments);
    const results = givenResult(context);
    return { record: { ...record, adopted: true }, results };
  } catch (error) {
    context.log().error("failed to read a file of Multus", {
      path,
      error: messageOf(error),
    });
    return undefined;
  }
}

/** Removes the file of Multus when nothing of its record is left to be deleted. */
export function removeMultusFile({ log }: Context, path: string): void {
  try {
    removeFile(path);
  } catch (error) {
    // The next DEL repeats it and finds everything deleted.
    log().error("failed to remove a file of Multus", {
      path,
      error: messageOf(error),
    });
  }
}

/**
 * The attachments in Multus' order; undefined without the file. The format is that of its
 * `saveDelegates`: `<cniDir>/<containerID>`, a JSON array of delegates, the first being the
 * default network. Throws Error when none is understood; the others can be deleted all the
 * same.
 */
export function multusAttachments(
  path: string,
  { request, config, log }: Context,
): Attachment[] | undefined {
  const text = readOwnFileIfAny(path, maxBytes);
  if (text === undefined) return undefined;
  const delegates = parse(v.array(v.unknown()), parseJson(text), Error);
  const problems: string[] = [];
  const attachments = delegates.flatMap((delegate, i) => {
    try {
      const list = parseAnyConf(delegateConf(delegate), own(delegate, "Name"));
      const ifname = delegateIfname(delegate, i, request.ifname);
      const capabilityArgs = i === 0 ? config.runtimeConfig : {};
      return [{ list, ifname, args: request.args, capabilityArgs }];
    } catch (error) {
      problems.push(`delegate ${i}: ${messageOf(error)}`);
      return [];
    }
  });
  const error = problems.join(", ");
  if (attachments.length === 0 && error !== "") throw new Error(error);
  if (error !== "")
    log().error("failed to read delegates of Multus", { error });
  return attachments;
}

const encoded = object({ Bytes: v.string() });
const encodedList = object({ Bytes: v.string(), Plugins: v.array(encoded) });

/** In a delegate's own `Bytes` a list that Multus read by its path has only the keys that Go knows: no subnet, no bridge. */
function delegateConf(delegate: unknown): JsonObject {
  const list = own(delegate, "CNINetworkConfigList");
  const given = own(list, "Plugins");
  if (!Array.isArray(given) || given.length === 0)
    return decoded(parse(encoded, delegate, Error).Bytes);
  const { Bytes, Plugins } = parse(encodedList, list, Error);
  const plugins = Plugins.map((plugin) => decoded(plugin.Bytes));
  return { ...decoded(Bytes), plugins };
}

/**
 * The default network has the runtime's interface, the others the requested one or
 * one by position.
 */
function delegateIfname(
  delegate: unknown,
  i: number,
  cniIfname: string,
): string {
  const requested = own(delegate, "ifnameRequest");
  if (typeof requested === "string" && !ifnameProblem(requested))
    return requested;
  return i === 0 ? cniIfname : `net${i}`;
}

/** A configuration: a JSON object in base64. Throws Error. */
function decoded(base64: string, depth?: number): JsonObject {
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
  { multusFile, cacheEntries }: FormerTraces,
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
  const text = readOwnFileIfAny(path, maxBytes);
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
  const value = own(entry, key);
  return typeof value === "string" && value !== expected;
}

function cachedList(base64: string, name: unknown): NetworkConfigList {
  const list = parseAnyConf(decoded(base64, cacheDepth), name);
  if (list.plugins.length === 0) throw new Error("config: no plugins in list");
  return list;
}

/** The result that the runtime keeps for CNI_IFNAME. */
function givenResult({ request }: Context): ReadonlyMap<string, Result> {
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
  const cni = own(annotations, cniAnnotation);
  if (!isChoice(cni)) return [];
  try {
    const elements = parseNetworks('annotation "cni"', cni);
    const requested = elements.map((element) => element.ifname);
    const ifnames = nameInterfaces(requested, [], cniIfname);
    return elements.flatMap((element, i) => {
      const list = findNetwork(networks, element.name)?.list;
      const ifname = ifnames[i];
      return list && ifname ? [{ list, ifname }] : [];
    });
  } catch {
    return [];
  }
}
