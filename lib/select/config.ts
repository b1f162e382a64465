/**
 * Our own network configuration, read once for each call (configuration.md).
 * What is wrong refuses an ADD; for DEL, CHECK and GC it never does (state.md).
 */
import { Code, CniError } from "../cni/error.ts";
import { type JsonObject, isObject } from "../cni/json.ts";
import { type KubeOptions, kubeOptions } from "../kube/options.ts";
import {
  type CheckedKeys,
  type ConfigKey,
  configProblems,
  isCniKey,
  isConfigKey,
  nestedKeys,
} from "./config-keys.ts";

/** What the other modules read; every default is filled in. Times are milliseconds. */
export interface GenieConfig {
  /** Our own plugin type: files that name it are no candidates (selection.md §4). */
  type: string;
  defaultPlugin: string;
  /** Where the API server is and who we are. */
  kube: KubeOptions;
  logLevel: string;
  logFile: string | undefined;
  confDir: string;
  binDirs: readonly string[];
  dataDir: string;
  /** Where Multus kept its files, "" to ignore them. */
  multusDir: string;
  /** Networks for definitions without `spec.config` (selection.md §6), "" for none. */
  multusConfDir: string;
  /** Where libcni keeps its cache (state.md "DEL"), "" to ignore it. */
  runtimeCacheDir: string;
  apiTimeoutMs: number;
  delegateTimeoutMs: number;
  /** How long a DEL may fail before it is given up (state.md "DEL"); 0: never. */
  deleteGiveUpMs: number;
  result: "primary" | "merged";
  strict: boolean;
  namespaceIsolation: boolean;
  globalNamespaces: readonly string[];
  systemNamespace: string;
  /** undefined: all */
  allowedNetworks: readonly string[] | undefined;
  /** undefined: all */
  allowedPlugins: readonly string[] | undefined;
  /** Types of `ipam`; undefined: all. */
  allowedIpams: readonly string[] | undefined;
  /** Whether the default routes of a pod are moved to their owner (selection.md §8). */
  defaultRoutes: "owner" | "keep";
  /** Plugin types that may serve a container more than once all the same (selection.md §8). */
  allowRepeated: readonly string[];
  /** This node in the API. */
  nodeName: string | undefined;
  podResourcesSocket: string;
  /** Whether the runtime is asked to hand over the pod's annotations. */
  declaresAnnotations: boolean;
  /** The runtime's own capability arguments; they are the primary attachment's (selection.md §6). */
  runtimeConfig: Readonly<Record<string, unknown>>;
  /** Keys of the configuration that mean nothing, for instance `alowedPlugins`. */
  unknownKeys: readonly string[];
}

/** The capability under which runtimes hand over annotations (container-runtimes.md §1). */
export const annotationsCapability = "io.kubernetes.cri.pod-annotations";

/** Throws 7 naming every wrong key, e.g. `invalid configuration: strict: expected boolean, got string "yes"`. */
export function readConfig(value: unknown): GenieConfig {
  const { checked, unknown, problems } = readKeys(value);
  if (problems.length === 0) return withDefaults(checked, unknown);
  const texts: string[] = [];
  for (const { text } of problems) texts.push(text);
  throw new CniError(
    Code.invalidNetworkConfig,
    `invalid configuration: ${texts.join(", ")}`,
  );
}

/** The keys that DEL, CHECK and GC use (state.md "DEL"). */
const cleanupKeys: readonly string[] = [
  "dataDir",
  "multusDir",
  "runtimeCacheDir",
  "binDir",
  "delegateTimeout",
  "deleteGiveUp",
  "confDir",
  "default_plugin",
  "log_level",
  "logFile",
  "type",
] satisfies ConfigKey[];

/**
 * As {@link readConfig} for DEL, CHECK and GC, which an operator's mistake must
 * not stop (state.md "DEL"): a wrong value is as if it were absent, and `warn` is
 * told of those that these verbs use. Never throws.
 */
export function readConfigForCleanup(
  value: unknown,
  warn: (problem: string) => void,
): GenieConfig {
  const { checked, unknown, problems } = readKeys(value);
  for (const { key, text } of problems) {
    if (cleanupKeys.includes(key))
      warn(`invalid configuration, the default is used: ${text}`);
  }
  return withDefaults(checked, unknown);
}

function withDefaults(
  config: CheckedKeys,
  unknownKeys: readonly string[],
): GenieConfig {
  return {
    type: config.type ?? "genie",
    defaultPlugin: config.default_plugin ?? "",
    // Most pods need no API server.
    get kube() {
      return kubeOptions(config);
    },
    logLevel: config.log_level ?? "warn",
    logFile: config.logFile || undefined,
    confDir: config.confDir ?? "/etc/cni/net.d",
    binDirs: directoriesOf(config.binDir),
    dataDir: config.dataDir ?? "/var/lib/cni/genie",
    multusDir: config.multusDir ?? "/var/lib/cni/multus",
    multusConfDir: config.multusConfDir ?? "/etc/cni/multus/net.d",
    runtimeCacheDir: config.runtimeCacheDir ?? "/var/lib/cni/results",
    apiTimeoutMs: (config.apiTimeout ?? 10) * 1000,
    delegateTimeoutMs: (config.delegateTimeout ?? 120) * 1000,
    deleteGiveUpMs: (config.deleteGiveUp ?? 300) * 1000,
    result: config.result ?? "primary",
    strict: config.strict ?? false,
    namespaceIsolation: config.namespaceIsolation ?? false,
    globalNamespaces: config.globalNamespaces ?? ["default"],
    systemNamespace: config.systemNamespace ?? "kube-system",
    allowedNetworks: config.allowedNetworks,
    allowedPlugins: config.allowedPlugins,
    allowedIpams:
      config.allowedIpams ??
      (config.allowedPlugins && [
        "host-local",
        "static",
        "dhcp",
        "whereabouts",
      ]),
    defaultRoutes: config.defaultRoutes ?? "owner",
    allowRepeated: config.allowRepeated ?? [],
    nodeName: config.nodeName || undefined,
    podResourcesSocket:
      config.podResourcesSocket ??
      "/var/lib/kubelet/pod-resources/kubelet.sock",
    declaresAnnotations: config.capabilities?.[annotationsCapability] === true,
    runtimeConfig: config.runtimeConfig ?? {},
    unknownKeys,
  };
}

interface ReadKeys {
  checked: CheckedKeys;
  problems: { key: string; text: string }[];
  /** Keys without a meaning, by their path: `policy.tipe`. */
  unknown: string[];
}

/** Go programs read null as absent, and so do we. */
function readKeys(config: unknown): ReadKeys {
  const checked: JsonObject = {};
  const problems: ReadKeys["problems"] = [];
  const unknown: string[] = [];
  if (!isObject(config)) {
    const text = "expected an object";
    return { checked, problems: [{ key: "", text }], unknown };
  }
  for (const [key, given] of Object.entries(config)) {
    if (!isConfigKey(key)) {
      if (!isCniKey(key)) unknown.push(key);
      continue;
    }
    if (given === null || given === undefined) continue;
    // `10.0` in a file is kept with its text, see parseJson.
    const value = JSON.isRawJSON(given) ? Number(given.rawJSON) : given;
    const found = configProblems(key, value);
    if (found.length === 0) checked[key] = value;
    for (const text of found) problems.push({ key, text: key + text });
    if (Object.hasOwn(nestedKeys, key)) addUnknown(key, value, unknown);
  }
  return { checked, problems, unknown };
}

function addUnknown(parent: string, value: unknown, unknown: string[]): void {
  if (!isObject(value)) return;
  const known: Readonly<Record<string, readonly string[]>> = nestedKeys;
  for (const key of Object.keys(value)) {
    if (!known[parent]?.includes(key)) unknown.push(`${parent}.${key}`);
  }
}

function directoriesOf(binDir: string | string[] = []): string[] {
  const directories: string[] = [];
  for (const directory of typeof binDir === "string" ? [binDir] : binDir) {
    if (directory !== "") directories.push(directory);
  }
  return directories;
}
