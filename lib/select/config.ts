/**
 * Our own network configuration, validated once (configuration.md). Unknown keys
 * are ignored; keys of CNI-Genie that have no meaning today are accepted.
 */
import { Code, CniError } from "../cni/error.ts";
import { type JsonObject, isObject, own } from "../cni/json.ts";
import { type KubeOptions, kubeOptions } from "../kube/options.ts";

/** What a key's value may be. */
interface Kinds {
  text: string;
  /** An absolute one. */
  path: string;
  flag: boolean;
  /** More than none, at most a day. */
  seconds: number;
  names: string[];
  textOrNames: string | string[];
  object: Record<string, unknown>;
  kubernetes: Texts<typeof kubernetesKeys>;
  policy: Texts<typeof policyKeys>;
  result: "primary" | "merged";
}

type Texts<Keys extends readonly string[]> = {
  readonly [key in Keys[number]]?: string | null;
};

/** Every key of our configuration and what its value is. Arrays, because an object of so many keys costs a pod 0.03 ms. */
export const keysAndKinds = [
  ["type", "text"],
  ["capabilities", "object"],
  ["runtimeConfig", "object"],
  ["default_plugin", "text"],
  ["kubernetes", "kubernetes"],
  ["policy", "policy"],
  ["log_level", "text"],
  ["logFile", "text"],
  ["confDir", "path"],
  ["binDir", "textOrNames"],
  ["dataDir", "path"],
  ["apiTimeout", "seconds"],
  ["delegateTimeout", "seconds"],
  ["result", "result"],
  ["strict", "flag"],
  ["namespaceIsolation", "flag"],
  ["globalNamespaces", "names"],
  ["systemNamespace", "text"],
  ["multusDir", "text"],
  ["allowedNetworks", "names"],
  ["allowedPlugins", "names"],
] as const satisfies [key: string, kind: keyof Kinds][];

/** What is stated of them. */
type Stated = {
  [E in (typeof keysAndKinds)[number] as E[0]]?: Kinds[E[1]];
};

/**
 * What is wrong with a value, as it follows the key in a message; undefined if
 * nothing. Plain code and no schema, which would take longer to make than all else
 * that a pod asks of our configuration (docs/performance.md).
 */
function faultOf(kind: keyof Kinds, value: unknown): string | undefined {
  switch (kind) {
    case "text":
      return typeof value === "string" ? undefined : not("string", value);
    case "object":
      return isObject(value) ? undefined : not("Object", value);
    case "path":
      return typeof value === "string" && value.startsWith("/")
        ? undefined
        : ": expected an absolute path";
    case "flag":
      return typeof value === "boolean" ? undefined : not("boolean", value);
    case "seconds":
      if (typeof value !== "number") return not("number", value);
      return value > 0 && value <= 86_400
        ? undefined
        : ": expected a number above 0, at most 86400";
    case "names":
      return namesFault(value);
    case "textOrNames":
      return typeof value === "string" || namesFault(value) === undefined
        ? undefined
        : ": expected a string or a list of strings";
    case "kubernetes":
      return textsFault(value, kubernetesKeys);
    case "policy":
      return textsFault(value, policyKeys);
    case "result":
      break;
  }
  return value === "primary" || value === "merged"
    ? undefined
    : not('("primary" | "merged")', value);
}

export const kubernetesKeys = ["kubeconfig", "k8s_api_root"] as const;
export const policyKeys = [
  "type",
  "k8s_api_root",
  "k8s_auth_token",
  "k8s_client_certificate",
  "k8s_client_key",
  "k8s_certificate_authority",
] as const;

function namesFault(value: unknown): string | undefined {
  if (!Array.isArray(value)) return not("Array", value);
  for (const [i, name] of value.entries()) {
    if (typeof name !== "string") return `.${i}${not("string", name)}`;
  }
  return undefined;
}

function textsFault(
  value: unknown,
  keys: readonly string[],
): string | undefined {
  if (!isObject(value)) return not("Object", value);
  for (const key of keys) {
    const text = own(value, key) ?? undefined;
    if (text !== undefined && typeof text !== "string")
      return `.${key}${not("string", text)}`;
  }
  return undefined;
}

/** The type only, never the value: it may be a secret. */
function not(expected: string, value: unknown): string {
  const got =
    value === null ? "null" : Array.isArray(value) ? "list" : typeof value;
  return `: expected ${expected}, got ${got}`;
}

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
  apiTimeoutMs: number;
  delegateTimeoutMs: number;
  result: "primary" | "merged";
  strict: boolean;
  namespaceIsolation: boolean;
  globalNamespaces: readonly string[];
  systemNamespace: string;
  /** undefined: all */
  allowedNetworks: readonly string[] | undefined;
  /** undefined: all */
  allowedPlugins: readonly string[] | undefined;
  /** Whether the runtime is asked to hand over the pod's annotations. */
  declaresAnnotations: boolean;
  /** The runtime's own capability arguments; they are the primary attachment's (selection.md §6). */
  runtimeConfig: Readonly<Record<string, unknown>>;
}

/** The capability under which runtimes hand over annotations (container-runtimes.md §1). */
export const annotationsCapability = "io.kubernetes.cri.pod-annotations";

/** Throws 7 naming the key and what was expected, e.g. `invalid configuration: policy.type: expected string, got number`. */
export function readConfig(value: unknown): GenieConfig {
  const config = readKeys(value);
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
    binDirs: foldersOf(config.binDir),
    dataDir: config.dataDir ?? "/var/lib/cni/genie",
    multusDir: config.multusDir ?? "/var/lib/cni/multus",
    apiTimeoutMs: (config.apiTimeout ?? 10) * 1000,
    delegateTimeoutMs: (config.delegateTimeout ?? 120) * 1000,
    result: config.result ?? "primary",
    strict: config.strict ?? false,
    namespaceIsolation: config.namespaceIsolation ?? false,
    globalNamespaces: config.globalNamespaces ?? ["default"],
    systemNamespace: config.systemNamespace ?? "kube-system",
    allowedNetworks: config.allowedNetworks ?? undefined,
    allowedPlugins: config.allowedPlugins ?? undefined,
    declaresAnnotations: config.capabilities?.[annotationsCapability] === true,
    runtimeConfig: config.runtimeConfig ?? {},
  };
}

/** Go programs read null as absent, and so do we. */
function readKeys(config: unknown): Stated {
  const stated: JsonObject = {};
  const problems: string[] = [];
  if (!isObject(config)) problems.push(not("Object", config));
  for (const [key, kind] of keysAndKinds) {
    const given = own(config, key) ?? undefined;
    if (given === undefined) continue;
    // `10.0` in a file is kept with its text, see parseJson.
    const value = JSON.isRawJSON(given) ? Number(given.rawJSON) : given;
    const fault = faultOf(kind, value);
    if (fault === undefined) stated[key] = value;
    else problems.push(key + fault);
  }
  if (problems.length === 0) return stated;
  throw new CniError(
    Code.invalidNetworkConfig,
    `invalid configuration: ${problems.join(", ")}`,
  );
}

function foldersOf(binDir: string | string[] = []): string[] {
  const folders: string[] = [];
  for (const folder of typeof binDir === "string" ? [binDir] : binDir) {
    if (folder !== "") folders.push(folder);
  }
  return folders;
}
