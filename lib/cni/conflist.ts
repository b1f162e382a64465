/**
 * Parses a network configuration or list, as libcni does and with its messages
 * (cni-runtime.md R-LD-3, R-VS). Pure: `confdir` reads the files.
 */
import { messageOf } from "../linux/errno.ts";
import { plain, quote } from "../linux/text.ts";
import { executedTypes } from "./executable-types.ts";
import { isObject, mismatch, own } from "./json.ts";
import { compareVersions, latestVersion } from "./version.ts";

/** One plugin of a list with all its keys, unknown ones included. */
export interface PluginConf {
  [key: string]: unknown;
  type: string;
}

/**
 * A network configuration list, CNI spec 1.1.0 §1; the plugins are unchanged objects
 * of the file.
 */
export interface NetworkConfigList {
  /** May be empty in the file of a single plugin; validated later (R-LD-4). */
  name: string;
  /** The version selected from `cniVersion` and `cniVersions`; kept even if unknown. */
  cniVersion: string;
  disableCheck: boolean;
  disableGC: boolean;
  loadOnlyInlinedPlugins: boolean;
  plugins: PluginConf[];
}

/**
 * Limit of plugins of one list: a DEL must have the time for all of them (state.md
 * "What ADD writes, DEL reads").
 */
export const maxPlugins = 32;

/** The version of a configuration without `cniVersion`, as in CNI-Genie (selection.md §4). */
export const assumedVersion = "0.3.0";

/** A `.conflist`. The plugins may be absent: they can come from a directory (R-LD-5). Throws Error. */
export function parseConfList(value: unknown): NetworkConfigList {
  const fail = (message: string): never => {
    throw new Error(`error parsing configuration list: ${message}`);
  };
  if (!isObject(value)) return fail(mismatch("an object", value));
  const name = own(value, "name");
  if (name === undefined) return fail("no name");
  if (typeof name !== "string")
    return fail(`invalid name type ${goType(name)}`);
  const cniVersion = version(value, fail);
  const disableCheck = flag(value, "disableCheck", fail);
  const disableGC = flag(value, "disableGC", fail);
  const loadOnlyInlinedPlugins = flag(value, "loadOnlyInlinedPlugins", fail);
  const plugins = own(value, "plugins");
  if (plugins === undefined && loadOnlyInlinedPlugins)
    return fail("`loadOnlyInlinedPlugins` is true, and no 'plugins' key");
  return {
    name,
    cniVersion,
    disableCheck,
    disableGC,
    loadOnlyInlinedPlugins,
    plugins: plugins === undefined ? [] : pluginList(plugins, fail),
  };
}

/** A `.conf` or `.json`: the list of one plugin. Throws Error. */
export function parseConf(value: unknown): NetworkConfigList {
  const plugin = parsePlugin(value);
  const name = own(plugin, "name");
  if (name !== undefined && name !== null && typeof name !== "string") {
    throw new Error(
      `error parsing configuration: invalid name type ${goType(name)}`,
    );
  }
  return {
    name: name ?? "",
    cniVersion: version(plugin, (message) => {
      throw new Error(`error parsing configuration: ${message}`);
    }),
    disableCheck: false,
    disableGC: false,
    loadOnlyInlinedPlugins: true,
    plugins: [plugin],
  };
}

/**
 * A single plugin, which has a `type`, as Multus tells them apart, or a list, which has
 * `plugins`; `name` is the name of one without. Throws Error.
 */
export function parseAnyConf(
  value: Readonly<Record<string, unknown>>,
  name: unknown,
): NetworkConfigList {
  const named = own(value, "name") ? value : { ...value, name };
  return own(value, "plugins") === undefined || own(value, "type")
    ? parseConf(named)
    : parseConfList(named);
}

/** A plugin object. Its `type` names an executable, so it is never a path (selection.md §4). */
export function parsePlugin(value: unknown): PluginConf {
  const fail = (message: string): never => {
    throw new Error(`error parsing configuration: ${message}`);
  };
  if (!isObject(value)) return fail(mismatch("an object", value));
  const type = own(value, "type");
  if (type === undefined || type === null || type === "")
    return fail("missing 'type'");
  if (typeof type !== "string")
    return fail(`invalid type for 'type': ${goType(type)}`);
  for (const { type: executed } of executedTypes([value])) {
    if (executed.includes("/") || executed === "." || executed === "..")
      return fail(`invalid 'type' ${quote(executed)}`);
  }
  for (const [key, problemOf] of Object.entries(typedKeys)) {
    const given = own(value, key);
    if (given === undefined || given === null) continue;
    const problem = problemOf(given);
    if (problem) return fail(problem);
  }
  return { ...value, type };
}

/** Keys that libcni decodes into types of its own; null is treated as absent. */
const typedKeys: Record<string, (value: unknown) => string | undefined> = {
  capabilities: capabilitiesProblem,
  ipam: ipamProblem,
  dns: dnsProblem,
};

type Fail = (message: string) => never;

function pluginList(plugins: unknown, fail: Fail): PluginConf[] {
  if (!Array.isArray(plugins))
    return fail(`invalid 'plugins' type ${goType(plugins)}`);
  if (plugins.length === 0) return fail("no plugins in list");
  if (plugins.length > maxPlugins)
    return fail(`more than ${maxPlugins} plugins`);
  const parsed: PluginConf[] = [];
  for (const plugin of plugins) {
    try {
      parsed.push(parsePlugin(plugin));
    } catch (cause) {
      // libcni's message has no "error parsing configuration list" here.
      throw new Error(
        `failed to parse plugin config ${parsed.length}: ${messageOf(cause)}`,
        { cause },
      );
    }
  }
  return parsed;
}

/** The highest version that both sides support; `cniVersion` alone is kept as it is (R-VS). */
function version(config: object, fail: Fail): string {
  const cniVersion = own(config, "cniVersion");
  if (cniVersion !== undefined && typeof cniVersion !== "string") {
    fail(`invalid cniVersion type ${goType(cniVersion)}`);
  }
  const stated =
    typeof cniVersion === "string" && cniVersion !== ""
      ? cniVersion
      : undefined;
  const cniVersions = own(config, "cniVersions");
  if (cniVersions === undefined) return stated ?? assumedVersion;
  if (!Array.isArray(cniVersions)) {
    return fail(`invalid type for cniVersions: ${goType(cniVersions)}`);
  }
  const offered = cniVersions.filter((entry: unknown, i): entry is string => {
    if (typeof entry !== "string")
      return fail(`invalid type for cniVersions index ${i}: ${goType(entry)}`);
    return isOurs(entry, (reason) =>
      fail(
        `invalid cniVersions entry ${plain(entry)} at index ${i}: ${reason}`,
      ),
    );
  });
  if (
    stated !== undefined &&
    isOurs(stated, (reason) =>
      fail(`invalid cniVersion ${plain(stated)}: ${reason}`),
    )
  ) {
    offered.push(stated);
  }
  // An empty entry is comparable, but not a version to use.
  return offered.toSorted(compareVersions).at(-1) || stated || assumedVersion;
}

/** Whether it is not newer than our newest version. */
function isOurs(entry: string, fail: Fail): boolean {
  try {
    return compareVersions(entry, latestVersion) <= 0;
  } catch (cause) {
    return fail(messageOf(cause));
  }
}

/** A bool, or "true" / "false" in any case. */
function flag(config: object, key: string, fail: Fail): boolean {
  const value = own(config, key);
  if (value === undefined) return false;
  if (typeof value === "boolean") return value;
  if (typeof value !== "string")
    return fail(`invalid type ${goType(value)} for ${key}`);
  const lower = value.toLowerCase();
  if (lower !== "true" && lower !== "false") {
    return fail(`invalid value ${quote(lower)} for ${key}`);
  }
  return lower === "true";
}

function capabilitiesProblem(capabilities: unknown): string | undefined {
  if (!isObject(capabilities))
    return `capabilities: ${mismatch("an object", capabilities)}`;
  for (const [key, value] of Object.entries(capabilities)) {
    if (value !== null && typeof value !== "boolean") {
      return `capabilities.${plain(key)}: ${mismatch("a bool", value)}`;
    }
  }
  return undefined;
}

function ipamProblem(ipam: unknown): string | undefined {
  if (!isObject(ipam)) return `ipam: ${mismatch("an object", ipam)}`;
  const type = own(ipam, "type");
  if (type === undefined || type === null || typeof type === "string")
    return undefined;
  return `ipam.type: ${mismatch("a string", type)}`;
}

function dnsProblem(dns: unknown): string | undefined {
  if (!isObject(dns)) return `dns: ${mismatch("an object", dns)}`;
  const domain = own(dns, "domain");
  if (domain !== undefined && domain !== null && typeof domain !== "string") {
    return `dns.domain: ${mismatch("a string", domain)}`;
  }
  for (const key of ["nameservers", "search", "options"]) {
    const value = own(dns, key);
    if (value === undefined || value === null) continue;
    if (!Array.isArray(value))
      return `dns.${key}: ${mismatch("an array of strings", value)}`;
    for (const [i, entry] of value.entries())
      if (typeof entry !== "string")
        return `dns.${key}.${i}: ${mismatch("a string", entry)}`;
  }
  return undefined;
}

/** Go's `%T` of a decoded JSON value, for libcni's messages. */
function goType(value: unknown): string {
  if (value === null || value === undefined) return "<nil>";
  if (Array.isArray(value)) return "[]interface {}";
  if (typeof value === "object")
    return isObject(value) ? "map[string]interface {}" : "float64";
  return typeof value === "number"
    ? "float64"
    : typeof value === "boolean"
      ? "bool"
      : typeof value;
}
