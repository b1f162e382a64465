/**
 * Runs one network configuration list for one verb, as a runtime does: the configuration
 * of each plugin, the order of a chain, prevResult (cni-runtime.md §2.2, §2.3).
 */
import { validateNetworkName } from "./identifiers.ts";
import type { NetworkConfigList, PluginConf } from "./conflist.ts";
import type { Deadline } from "../linux/deadline.ts";
import { CniError, Code, invalidConfig } from "./error.ts";
import { quote } from "../linux/text.ts";
import { executedTypes } from "./executable-types.ts";
import {
  type Caller,
  type RuntimeConf,
  invoke,
  requirePlugin,
} from "./invoke.ts";
import { type JsonObject, foldKey, own, setOwn } from "./json.ts";
import { type Result, convertResult, parseResult } from "./result.ts";
import type { Verb } from "./plugin-request.ts";
import {
  type CniVersion,
  has,
  isSupported,
  supportedVersions,
} from "./version.ts";

/**
 * Validates a list before an ADD as libcni does: version, every executable, network
 * name; and the executables of `ipam`, without which plugins fail in DEL as in ADD.
 * Throws 1 or 7.
 */
export function validateNetwork(
  list: NetworkConfigList,
  path: readonly string[],
  self: string | undefined,
): void {
  protocolVersion(list);
  for (const plugin of list.plugins) requirePlugin(plugin.type, path, self);
  for (const plugin of list.plugins) {
    for (const { type, isIpam } of executedTypes([plugin])) {
      if (!isIpam || isInDaemon(plugin.type, type)) continue;
      requirePlugin(type, path, self);
    }
  }
  validateNetworkName(list.name);
}

/**
 * Adds in the order of the list, after `before` if it is given; the last plugin's result,
 * in the list's version. Stops at the first error.
 */
export async function addNetwork(
  list: NetworkConfigList,
  runtime: RuntimeConf,
  deadline: Deadline,
  caller: Caller,
  before?: Result,
): Promise<Result> {
  const version = protocolVersion(list);
  const read = (output: unknown) =>
    convertResult(parseResult(output, version), version);
  let result = before && convertResult(before, version);
  const verb = "ADD" as const;
  for (const plugin of list.plugins) {
    const call = { verb, list, plugin, runtime, prevResult: result, deadline };
    result = await callPlugin(call, caller, read);
  }
  if (!result) throw invalidConfig("no plugins in list");
  return result;
}

/**
 * Deletes in reverse order and halts at the first error (CNI spec 1.1.0 §3).
 * A result that cannot be converted is left out: DEL must work without one.
 */
export async function delNetwork(
  list: NetworkConfigList,
  runtime: RuntimeConf,
  result: Result | undefined,
  deadline: Deadline,
  caller: Caller,
): Promise<void> {
  const version = protocolVersion(list);
  const prevResult = has(version, "prevResultOnDel")
    ? tolerant(result, version)
    : undefined;
  const verb = "DEL" as const;
  for (const plugin of list.plugins.toReversed()) {
    const call = { verb, list, plugin, runtime, prevResult, deadline };
    await callPlugin(call, caller);
  }
}

/**
 * Plugins that are clients of a daemon → the IPAM types that are there, and perhaps not on
 * the node.
 */
const daemonIpams: Readonly<Record<string, readonly string[]>> = {
  // Its agent executes them in its own container.
  antrea: ["host-local"],
  // It is the daemon itself, no executable.
  "azure-vnet": ["azure-cns"],
};

function isInDaemon(plugin: string, ipam: string): boolean {
  return (
    Object.hasOwn(daemonIpams, plugin) &&
    daemonIpams[plugin]?.includes(ipam) === true
  );
}

/** The version that we and the list's plugins speak. Throws 1 for one that we do not know. */
export function protocolVersion(list: NetworkConfigList): CniVersion {
  if (isSupported(list.cniVersion)) return list.cniVersion;
  throw new CniError(Code.incompatibleVersion, "incompatible CNI versions", {
    details:
      `config of network ${quote(list.name)} is ${quote(list.cniVersion)}, ` +
      `plugin supports [${supportedVersions.map((version) => `"${version}"`).join(" ")}]`,
  });
}

interface ConfigParts {
  runtime: RuntimeConf;
  prevResult?: Result | undefined;
  extra?: Readonly<Record<string, unknown>>;
}

/**
 * The configuration of one plugin, as JSON (R-CF-1 … R-CF-5): its object of the list
 * with the list's name and version. `prevResult`, `runtimeConfig` and `cni.dev/*` of a
 * file are dropped. `capabilities` stay: nested meta-plugins read them.
 */
export function pluginConfig(
  list: NetworkConfigList,
  plugin: PluginConf,
  parts: ConfigParts,
): string {
  const kept: JsonObject = {};
  for (const [key, value] of Object.entries(plugin)) {
    if (!isStale(key)) setOwn(kept, key, value);
  }
  const runtimeConfig = capabilityArgs(plugin, parts.runtime.capabilityArgs);
  return JSON.stringify({
    ...kept,
    name: list.name,
    cniVersion: list.cniVersion,
    ...(runtimeConfig && { runtimeConfig }),
    ...(parts.prevResult &&
      has(protocolVersion(list), "prevResult") && {
        prevResult: parts.prevResult,
      }),
    ...parts.extra,
  });
}

/**
 * Keys that must not come from a file, and second spellings of keys that are set here:
 * Go programs read keys in any case and take the last, so `NAME` would win over `name`.
 */
function isStale(key: string): boolean {
  const folded = foldKey(key);
  if (folded === "name" || folded === "cniversion")
    return key !== "name" && key !== "cniVersion";
  return (
    folded === "prevresult" ||
    folded === "runtimeconfig" ||
    folded.startsWith("cni.dev/")
  );
}

/** The arguments whose capability the plugin declares as true; undefined when there are none (R-CF-3). */
function capabilityArgs(
  plugin: PluginConf,
  args: Readonly<Record<string, unknown>>,
): JsonObject | undefined {
  let declared: JsonObject | undefined;
  for (const [key, value] of Object.entries(args)) {
    if (declares(plugin, key)) setOwn((declared ??= {}), key, value);
  }
  return declared;
}

/** Whether a plugin asks for a capability's argument. */
export function declares(plugin: PluginConf, capability: string): boolean {
  const capabilities = own(plugin, "capabilities");
  return own(capabilities, capability) === true;
}

function tolerant(
  result: Result | undefined,
  version: CniVersion,
): Result | undefined {
  try {
    return result && convertResult(result, version);
  } catch {
    return undefined;
  }
}

/** The call of one plugin of a list. */
interface PluginCall extends ConfigParts {
  verb: Verb;
  list: NetworkConfigList;
  plugin: PluginConf;
  deadline: Deadline;
}

/** Executes one plugin of a list; `read` as in {@link invoke}. */
export function callPlugin<T>(
  call: PluginCall,
  caller: Caller,
  read?: (output: unknown) => T,
): Promise<T | undefined> {
  const { verb, list, plugin, runtime, deadline } = call;
  const config = pluginConfig(list, plugin, call);
  const { type } = plugin;
  const network = list.name;
  return invoke(
    { verb, type, network, config, runtime, deadline },
    caller,
    read,
  );
}
