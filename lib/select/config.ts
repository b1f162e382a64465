/**
 * Our own network configuration, read once for each call (configuration.md).
 * A wrong value refuses an ADD and never a DEL, CHECK or GC (state.md). The values
 * of nearly every node are recognised by plain checks; any others are left to the
 * schema, which is loaded then.
 */
import { type RawNumber, isObject } from "../cni/json.ts";
import { type KubeOptions, kubeOptions } from "../kube/options.ts";
import type * as configSchema from "./config-schema.ts";
import type { ConfigKey, ConfigKeys } from "./config-schema.ts";

/** With every default filled in. Times are milliseconds. */
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

/** Throws 7 naming every wrong key, e.g. `invalid configuration: strict: expected a bool, got "yes"`. */
export function readConfig(value: unknown): GenieConfig {
  if (isOrdinary(value)) return configOf(value);
  const { requireConfig, unknownConfigKeys } = loadSchema();
  const keys = requireConfig(value);
  return configOf(keys, unknownConfigKeys(keys));
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
  if (isOrdinary(value)) return configOf(value);
  const { usableConfig, unknownConfigKeys } = loadSchema();
  const keys = usableConfig(value, warn);
  return configOf(keys, unknownConfigKeys(keys));
}

/** An import() could not be waited for here. */
function loadSchema(): typeof configSchema {
  // oxlint-disable-next-line no-unsafe-return -- a require() has no types, the import above has
  return require("./config-schema.ts");
}

/** Whether the plain checks are enough. False proves nothing. */
function isOrdinary(value: unknown): value is ConfigKeys {
  return hasForm(value, ordinary);
}

/** The usual kind of a value, one of a few texts, or an object of no other keys. */
type Form =
  | "anything"
  | "object"
  | "text"
  | "texts"
  | "path"
  | "flag"
  | "seconds"
  | readonly string[]
  | Forms;

interface Forms {
  readonly [key: string]: Form;
}

function hasForm(value: unknown, form: Form): boolean {
  switch (form) {
    case "anything":
      return true;
    case "object":
      return isObject(value);
    case "text":
      return typeof value === "string" && value !== "";
    case "texts":
      return isTexts(value);
    case "path":
      return typeof value === "string" && value.startsWith("/");
    case "flag":
      return typeof value === "boolean";
    case "seconds":
      return typeof value === "number" && value > 0 && value <= 86_400;
  }
  if (isWords(form)) return typeof value === "string" && form.includes(value);
  if (!isObject(value)) return false;
  for (const key of Object.keys(value)) {
    const inner = Object.hasOwn(form, key) ? form[key] : undefined;
    if (inner === undefined || !hasForm(value[key], inner)) return false;
  }
  return true;
}

function isWords(form: readonly string[] | Forms): form is readonly string[] {
  return Array.isArray(form);
}

function isTexts(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (typeof item !== "string") return false;
  return true;
}

/** A key that is not here is left to the schema. */
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
  type: "text",
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
  logFile: "path",
  confDir: "path",
  binDir: "text",
  dataDir: "path",
  apiTimeout: "seconds",
  delegateTimeout: "seconds",
  deleteGiveUp: "seconds",
  result: ["primary", "merged"],
  strict: "flag",
  namespaceIsolation: "flag",
  globalNamespaces: "texts",
  systemNamespace: "text",
  allowedNetworks: "texts",
  allowedPlugins: "texts",
  allowedIpams: "texts",
  defaultRoutes: ["owner", "keep"],
  allowRepeated: "texts",
  runtimeCacheDir: "path",
  multusDir: "path",
  multusConfDir: "path",
  nodeName: "text",
  podResourcesSocket: "path",
};

/** Null is absent, as for Go programs. */
function configOf(
  keys: ConfigKeys,
  unknownKeys: readonly string[] = [],
): GenieConfig {
  const { kubernetes, policy, allowedPlugins } = keys;
  return {
    type: keys.type ?? "genie",
    defaultPlugin: keys.default_plugin ?? "",
    // Most pods need no API server.
    get kube() {
      return kubeOptions({ kubernetes, policy });
    },
    logLevel: keys.log_level ?? "warn",
    logFile: keys.logFile || undefined,
    confDir: keys.confDir ?? "/etc/cni/net.d",
    binDirs: [keys.binDir ?? []].flat().filter((path) => path !== ""),
    dataDir: keys.dataDir ?? "/var/lib/cni/genie",
    multusDir: keys.multusDir ?? "/var/lib/cni/multus",
    multusConfDir: keys.multusConfDir ?? "/etc/cni/multus/net.d",
    runtimeCacheDir: keys.runtimeCacheDir ?? "/var/lib/cni/results",
    apiTimeoutMs: milliseconds(keys.apiTimeout ?? 10),
    delegateTimeoutMs: milliseconds(keys.delegateTimeout ?? 120),
    deleteGiveUpMs: milliseconds(keys.deleteGiveUp ?? 300),
    result: keys.result ?? "primary",
    strict: keys.strict ?? false,
    namespaceIsolation: keys.namespaceIsolation ?? false,
    globalNamespaces: keys.globalNamespaces ?? ["default"],
    systemNamespace: keys.systemNamespace ?? "kube-system",
    allowedNetworks: keys.allowedNetworks ?? undefined,
    allowedPlugins: allowedPlugins ?? undefined,
    allowedIpams:
      keys.allowedIpams ??
      (allowedPlugins
        ? ["host-local", "static", "dhcp", "whereabouts"]
        : undefined),
    defaultRoutes: keys.defaultRoutes ?? "owner",
    allowRepeated: keys.allowRepeated ?? [],
    nodeName: keys.nodeName || undefined,
    podResourcesSocket:
      keys.podResourcesSocket ?? "/var/lib/kubelet/pod-resources/kubelet.sock",
    declaresAnnotations: keys.capabilities?.[annotationsCapability] === true,
    runtimeConfig: keys.runtimeConfig ?? {},
    unknownKeys,
  };
}

/** `10.0` is kept with its text, see parseJson. */
function milliseconds(seconds: number | RawNumber): number {
  const value = typeof seconds === "number" ? seconds : Number(seconds.rawJSON);
  return value * 1000;
}
