/**
 * Our own network configuration, read once per call (configuration.md). A wrong
 * value fails ADD, never DEL, CHECK or GC (state.md). Plain checks recognise the
 * documented values; for any other value the schema is loaded.
 */
import { isIdentifier } from "../cni/args.ts";
import { type RawNumber, isObject } from "../cni/json.ts";
import { type KubeOptions, kubeOptions } from "../kube/options.ts";
import { isPath } from "../linux/text.ts";
import type * as configSchema from "./config-schema.ts";
import type { ConfigKey, ConfigKeys } from "./config-schema.ts";

/** With all defaults. Times are milliseconds. */
export type GenieConfig = Readonly<ReturnType<typeof configOf>>;

/** The capability with which runtimes send a pod's annotations (container-runtimes.md §1). */
export const annotationsCapability = "io.kubernetes.cri.pod-annotations";

/** Throws 7 naming every wrong key, e.g. `invalid configuration: strict: expected a bool, got "yes"`. */
export function readConfig(value: unknown): GenieConfig {
  if (isOrdinary(value)) return configOf(value);
  const { requireConfig, unknownConfigKeys } = loadSchema();
  const keys = requireConfig(value);
  return configOf(keys, unknownConfigKeys(keys));
}

/**
 * As {@link readConfig} for DEL, CHECK and GC, which a mistake of an operator must
 * not stop (state.md "DEL"): a wrong value is treated as absent, and `warn` gets
 * the problem of each one that these verbs use. Never throws.
 */
export function readConfigForCleanup(
  value: unknown,
  warn: (problem: string) => void,
): GenieConfig {
  if (isOrdinary(value)) return configOf(value);
  const { usableConfig, unknownConfigKeys } = loadSchema();
  const keys = usableConfig(value, warn);
  return configOf(keys, unknownConfigKeys(keys));
}

/** By require(): the callers are not asynchronous. */
function loadSchema(): typeof configSchema {
  // oxlint-disable-next-line no-unsafe-return -- a require() has no types, the import above has
  return require("./config-schema.ts");
}

/** False does not mean wrong: then the schema decides. */
function isOrdinary(value: unknown): value is ConfigKeys {
  return hasForm(value, ordinary);
}

/** A kind of value, a few texts, or an object of these keys and no others. */
type Form =
  | "anything"
  | "object"
  | "flag"
  | "text"
  | "name"
  | "texts"
  | "paths"
  | "path"
  | "path or none"
  | "directory name"
  | "seconds"
  | "seconds or 0"
  | readonly string[]
  | { readonly [key: string]: Form };

function hasForm(value: unknown, form: Form): boolean {
  switch (form) {
    case "anything":
      return true;
    case "object":
      return isObject(value);
    case "flag":
      return typeof value === "boolean";
    case "text":
      return typeof value === "string";
    case "name":
      return typeof value === "string" && value !== "";
    case "texts":
      return isTexts(value);
    case "paths":
      return typeof value === "string"
        ? isPath(value)
        : isTexts(value) && value.every(isPath);
    case "path":
      return (
        typeof value === "string" && value.startsWith("/") && isPath(value)
      );
    case "path or none":
      return value === "" || hasForm(value, "path");
    case "directory name":
      return (
        typeof value === "string" && value.length < 256 && isIdentifier(value)
      );
    case "seconds":
      return typeof value === "number" && value > 0 && value <= 86_400;
    case "seconds or 0":
      return value === 0 || hasForm(value, "seconds");
  }
  if (isTexts(form)) return typeof value === "string" && form.includes(value);
  if (!isObject(value)) return false;
  for (const key of Object.keys(value)) {
    const inner = Object.hasOwn(form, key) ? form[key] : undefined;
    if (inner === undefined || !hasForm(value[key], inner)) return false;
  }
  return true;
}

function isTexts(value: unknown): value is readonly string[] {
  return (
    Array.isArray(value) && value.every((item) => typeof item === "string")
  );
}

/** A key that is missing here is left to the schema. */
const ordinary: { readonly [key in ConfigKey]?: Form } = {
  cniVersion: "anything",
  cniVersions: "anything",
  name: "anything",
  prevResult: "anything",
  ipam: "anything",
  dns: "anything",
  args: "anything",
  disableCheck: "anything",
  disableGC: "anything",
  etcd_endpoints: "anything",
  hostname: "anything",
  datastore_type: "anything",
  romana_root: "anything",
  segment_label_name: "anything",
  cAdvisor_address: "anything",
  type: "name",
  capabilities: "object",
  runtimeConfig: "object",
  default_plugin: "text",
  kubernetes: { kubeconfig: "text", k8s_api_root: "text" },
  policy: {
    type: "text",
    k8s_api_root: "text",
    k8s_auth_token: "text",
    k8s_client_certificate: "text",
    k8s_client_key: "text",
    k8s_certificate_authority: "text",
  },
  log_level: ["error", "warn", "info", "debug"],
  logFile: "path or none",
  confDir: "path",
  binDir: "paths",
  dataDir: "path",
  apiTimeout: "seconds",
  delegateTimeout: "seconds",
  deleteGiveUp: "seconds or 0",
  result: ["primary", "merged"],
  strict: "flag",
  namespaceIsolation: "flag",
  globalNamespaces: "texts",
  systemNamespace: "name",
  allowedNetworks: "texts",
  allowedPlugins: "texts",
  allowedIpams: "texts",
  defaultRoutes: ["owner", "keep"],
  allowRepeated: "texts",
  automatic: { networks: "texts", by: ["attachments", "traffic"] },
  auxiliaryChain: "directory name",
  runtimeCacheDir: "path or none",
  multusDir: "path or none",
  multusConfDir: "path or none",
  nodeName: "text",
  podResourcesSocket: "path",
};

export const defaultDataDir = "/var/lib/cni/genie";

/** A loop, because `filter` is JavaScript that each call compiles (docs/performance.md). */
function directoriesOf(binDir: string | readonly string[]): string[] {
  const directories: string[] = [];
  for (const path of typeof binDir === "string" ? [binDir] : binDir)
    if (path !== "") directories.push(path);
  return directories;
}

/** Null is absent, as for Go programs. */
function configOf(keys: ConfigKeys, unknownKeys: readonly string[] = []) {
  const { kubernetes, policy, allowedPlugins } = keys;
  return {
    /** Our own plugin type: files that name it are no candidates (selection.md §4). */
    type: keys.type ?? "genie",
    defaultPlugin: keys.default_plugin ?? "",
    /** The API server and our credential; most pods do not need it. */
    get kube(): KubeOptions {
      return kubeOptions({ kubernetes, policy });
    },
    logLevel: keys.log_level ?? "warn",
    logFile: keys.logFile || undefined,
    confDir: keys.confDir ?? "/etc/cni/net.d",
    binDirs: directoriesOf(keys.binDir ?? []),
    dataDir: keys.dataDir ?? defaultDataDir,
    /** The directory of Multus' files, "" to ignore them. */
    multusDir: keys.multusDir ?? "/var/lib/cni/multus",
    /**
     * The directory of networks for definitions without `spec.config`
     * (selection.md §6), "" for none.
     */
    multusConfDir: keys.multusConfDir ?? "/etc/cni/multus/net.d",
    /** The directory of libcni's cache (state.md "DEL"), "" to ignore it. */
    runtimeCacheDir: keys.runtimeCacheDir ?? "/var/lib/cni/results",
    apiTimeoutMs: milliseconds(keys.apiTimeout ?? 10),
    delegateTimeoutMs: milliseconds(keys.delegateTimeout ?? 120),
    /** The time after which a failing DEL gives up (state.md "DEL"); 0: never. */
    deleteGiveUpMs: milliseconds(keys.deleteGiveUp ?? 300),
    result: keys.result ?? "primary",
    strict: keys.strict ?? false,
    namespaceIsolation: keys.namespaceIsolation ?? false,
    globalNamespaces: keys.globalNamespaces ?? ["default"],
    systemNamespace: keys.systemNamespace ?? "kube-system",
    /** undefined: all */
    allowedNetworks: keys.allowedNetworks ?? undefined,
    /** undefined: all */
    allowedPlugins: allowedPlugins ?? undefined,
    /** Types of `ipam`; undefined: all. */
    allowedIpams:
      keys.allowedIpams ??
      (allowedPlugins
        ? ["host-local", "static", "dhcp", "whereabouts"]
        : undefined),
    /** Whether the default routes of a pod are moved to their owner (selection.md §8). */
    defaultRoutes: keys.defaultRoutes ?? "owner",
    /** Single-use plugin types that a pod may use more than once (selection.md §8). */
    allowRepeated: keys.allowRepeated ?? [],
    /** The networks of pods that choose none (selection.md §10); undefined: the default network. */
    automatic: automaticChoice(keys.automatic),
    /** The directory in `confDir` of a chain for every pod (selection.md §11). */
    auxiliaryChain: keys.auxiliaryChain ?? undefined,
    /** The name of this node in the API. */
    nodeName: keys.nodeName || undefined,
    podResourcesSocket:
      keys.podResourcesSocket ?? "/var/lib/kubelet/pod-resources/kubelet.sock",
    /** Whether the runtime is asked to send the pod's annotations. */
    declaresAnnotations: keys.capabilities?.[annotationsCapability] === true,
    /** The runtime's own capability arguments, for the primary attachment (selection.md §6). */
    runtimeConfig: keys.runtimeConfig ?? {},
    /** Unknown keys, for instance `alowedPlugins`. */
    unknownKeys,
  };
}

export interface AutomaticChoice {
  networks: readonly string[];
  by: "attachments" | "traffic";
}

function automaticChoice(
  automatic: ConfigKeys["automatic"],
): AutomaticChoice | undefined {
  const { networks, by } = automatic ?? {};
  return networks?.length ? { networks, by: by ?? "attachments" } : undefined;
}

/** `10.0` is a RawNumber, see parseJson. */
function milliseconds(seconds: number | RawNumber): number {
  return Number(typeof seconds === "number" ? seconds : seconds.rawJSON) * 1000;
}
