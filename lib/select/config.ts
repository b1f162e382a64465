/**
 * Our own network configuration, read once for each call (configuration.md).
 * What is wrong refuses an ADD; for DEL, CHECK and GC it never does (state.md).
 * Plain typed reads: what words the errors is loaded when there is one.
 */
import { Code, CniError } from "../cni/error.ts";
import { isObject } from "../cni/json.ts";
import { type KubeOptions, kubeOptions } from "../kube/options.ts";
import {
  acceptedKeys,
  isAutomatic,
  isDirectoryName,
  isFlag,
  isKubernetes,
  isLevel,
  isName,
  isNames,
  isPath,
  isPathOrNone,
  isPaths,
  isPolicy,
  isResult,
  isRouteRule,
  isSeconds,
  isSecondsOrNever,
  isText,
  kubernetesKeys,
  policyKeys,
} from "./config-keys.ts";
import type * as problems from "./config-problems.ts";

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
  const { config, isWrong } = readKeys(value);
  if (!isWrong) return config;
  const texts: string[] = [];
  for (const { text } of lazily().configProblems(value)) texts.push(text);
  throw new CniError(
    Code.invalidNetworkConfig,
    `invalid configuration: ${texts.join(", ")}`,
  );
}

/**
 * As {@link readConfig} for DEL, CHECK and GC, which an operator's mistake must
 * not stop (state.md "DEL"): a wrong value is as if it were absent, and `warn` is
 * told of those that these verbs use. Never throws.
 */
export function readConfigForCleanup(
  value: unknown,
  warn: (problem: string) => void,
): GenieConfig {
  const { config, isWrong } = readKeys(value);
  if (isWrong) {
    const { cleanupKeys, configProblems } = lazily();
    for (const { key, text } of configProblems(value)) {
      if (cleanupKeys.includes(key))
        warn(`invalid configuration, the default is used: ${text}`);
    }
  }
  return config;
}

/** An import() could not be waited for here. */
function lazily(): typeof problems {
  // oxlint-disable-next-line no-unsafe-return -- a require() has no types, the import above has
  return require("./config-problems.ts");
}

interface ReadKeys {
  /** With the defaults of what is absent or wrong. */
  config: GenieConfig;
  isWrong: boolean;
}

function readKeys(value: unknown): ReadKeys {
  const given = isObject(value) ? value : {};
  let isWrong = given !== value;
  let known = 0;
  for (const key of acceptedKeys) if (Object.hasOwn(given, key)) known++;

  /** Go programs read null as absent, and so do we. */
  function read<T>(
    key: string,
    isValid: (candidate: unknown) => candidate is T,
  ): T | undefined {
    if (!Object.hasOwn(given, key)) return undefined;
    known++;
    let candidate = given[key];
    if (candidate === null || candidate === undefined) return undefined;
    // `10.0` in a file is kept with its text, see parseJson.
    if (JSON.isRawJSON(candidate)) candidate = Number(candidate.rawJSON);
    if (isValid(candidate)) return candidate;
    isWrong = true;
    return undefined;
  }

  // Their behaviour comes with a later version (selection.md §10, §11).
  read("automatic", isAutomatic);
  read("auxiliaryChain", isDirectoryName);
  const kubernetes = read("kubernetes", isKubernetes);
  const policy = read("policy", isPolicy);
  const allowedPlugins = read("allowedPlugins", isNames);
  const capabilities = read("capabilities", isObject);
  const config: GenieConfig = {
    type: read("type", isName) ?? "genie",
    defaultPlugin: read("default_plugin", isText) ?? "",
    // Most pods need no API server.
    get kube() {
      return kubeOptions({ kubernetes, policy });
    },
    logLevel: read("log_level", isLevel) ?? "warn",
    logFile: read("logFile", isPathOrNone) || undefined,
    confDir: read("confDir", isPath) ?? "/etc/cni/net.d",
    binDirs: directoriesOf(read("binDir", isPaths)),
    dataDir: read("dataDir", isPath) ?? "/var/lib/cni/genie",
    multusDir: read("multusDir", isPathOrNone) ?? "/var/lib/cni/multus",
    multusConfDir:
      read("multusConfDir", isPathOrNone) ?? "/etc/cni/multus/net.d",
    runtimeCacheDir:
      read("runtimeCacheDir", isPathOrNone) ?? "/var/lib/cni/results",
    apiTimeoutMs: (read("apiTimeout", isSeconds) ?? 10) * 1000,
    delegateTimeoutMs: (read("delegateTimeout", isSeconds) ?? 120) * 1000,
    deleteGiveUpMs: (read("deleteGiveUp", isSecondsOrNever) ?? 300) * 1000,
    result: read("result", isResult) ?? "primary",
    strict: read("strict", isFlag) ?? false,
    namespaceIsolation: read("namespaceIsolation", isFlag) ?? false,
    globalNamespaces: read("globalNamespaces", isNames) ?? ["default"],
    systemNamespace: read("systemNamespace", isName) ?? "kube-system",
    allowedNetworks: read("allowedNetworks", isNames),
    allowedPlugins,
    allowedIpams:
      read("allowedIpams", isNames) ??
      (allowedPlugins && ["host-local", "static", "dhcp", "whereabouts"]),
    defaultRoutes: read("defaultRoutes", isRouteRule) ?? "owner",
    allowRepeated: read("allowRepeated", isNames) ?? [],
    nodeName: read("nodeName", isText) || undefined,
    podResourcesSocket:
      read("podResourcesSocket", isPath) ??
      "/var/lib/kubelet/pod-resources/kubelet.sock",
    declaresAnnotations: capabilities?.[annotationsCapability] === true,
    runtimeConfig: read("runtimeConfig", isObject) ?? {},
    unknownKeys: [],
  };
  if (
    known < Object.keys(given).length ||
    hasOthers(kubernetes, kubernetesKeys) ||
    hasOthers(policy, policyKeys)
  )
    config.unknownKeys = lazily().unknownKeysOf(given);
  return { config, isWrong };
}

function hasOthers(
  object: object | undefined,
  known: readonly string[],
): boolean {
  if (object === undefined) return false;
  for (const key of Object.keys(object)) if (!known.includes(key)) return true;
  return false;
}

function directoriesOf(binDir: string | string[] = []): string[] {
  const directories: string[] = [];
  for (const directory of typeof binDir === "string" ? [binDir] : binDir) {
    if (directory !== "") directories.push(directory);
  }
  return directories;
}
