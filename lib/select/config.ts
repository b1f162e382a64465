/**
 * Our own network configuration, validated once (configuration.md). Unknown keys
 * are ignored; keys of CNI-Genie that have no meaning today are accepted.
 */
import * as v from "valibot";
import { Code, CniError } from "../cni/error.ts";
import { type JsonObject, own } from "../cni/json.ts";
import { type KubeOptions, kubeOptions } from "../kube/options.ts";

/** `10.0` in a file is kept with its text, see parseJson. */
const number = () =>
  v.pipe(
    v.unknown(),
    v.transform((value) =>
      JSON.isRawJSON(value) ? Number(value.rawJSON) : value,
    ),
    v.number(),
  );
const seconds = () =>
  v.pipe(number(), v.finite(), v.gtValue(0), v.maxValue(86_400));
const text = () => v.string();
const flag = () => v.boolean();
const names = () => v.array(v.string());
const anything = () => v.record(v.string(), v.unknown());
const path = () =>
  v.pipe(v.string(), v.startsWith("/", "expected an absolute path"));
const texts = <K extends string>(...keys: K[]) =>
  v.partial(v.looseObject(v.entriesFromList(keys, v.nullish(v.string()))));

/**
 * A key's schema is made when the key is there: all of them would cost every pod
 * more than all else that it asks of our configuration (docs/performance.md).
 */
const schemas = {
  type: text,
  capabilities: anything,
  runtimeConfig: anything,
  default_plugin: text,
  kubernetes: () => texts("kubeconfig", "k8s_api_root"),
  policy: () =>
    texts(
      "type",
      "k8s_api_root",
      "k8s_auth_token",
      "k8s_client_certificate",
      "k8s_client_key",
      "k8s_certificate_authority",
    ),
  log_level: text,
  logFile: text,
  confDir: path,
  binDir: () =>
    v.union([v.string(), names()], "expected a string or a list of strings"),
  dataDir: path,
  apiTimeout: seconds,
  delegateTimeout: seconds,
  result: () => v.picklist(["primary", "merged"]),
  strict: flag,
  namespaceIsolation: flag,
  globalNamespaces: names,
  systemNamespace: text,
  multusDir: text,
  allowedNetworks: names,
  allowedPlugins: names,
} satisfies Record<string, () => v.GenericSchema>;

/** What is stated of them. */
type Stated = {
  [K in keyof typeof schemas]?: v.InferOutput<ReturnType<(typeof schemas)[K]>>;
};

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
function readKeys(value: unknown): Stated {
  const config: JsonObject = {};
  const problems: string[] = [];
  for (const [key, schema] of Object.entries(schemas)) {
    const stated = own(value, key) ?? undefined;
    if (stated === undefined) continue;
    const { success, output, issues } = v.safeParse(schema(), stated);
    if (success) config[key] = output;
    else problems.push(...problemsOf(key, issues));
  }
  if (problems.length > 0) {
    throw new CniError(
      Code.invalidNetworkConfig,
      `invalid configuration: ${problems.join(", ")}`,
    );
  }
  // oxlint-disable-next-line no-unsafe-type-assertion -- the edge: each key was read by its own schema
  return config as Stated;
}

function problemsOf(
  key: string,
  issues: readonly v.BaseIssue<unknown>[],
): string[] {
  return issues.map((issue) => {
    const within = v.getDotPath(issue);
    const where = within === null ? key : `${key}.${within}`;
    return `${where}: ${expectation(issue)}`;
  });
}

function foldersOf(binDir: string | string[] = []): string[] {
  const folders: string[] = [];
  for (const folder of typeof binDir === "string" ? [binDir] : binDir) {
    if (folder !== "") folders.push(folder);
  }
  return folders;
}

/** Types only, never the value: a value may be a secret. */
function expectation(issue: v.BaseIssue<unknown>): string {
  // Ours say what is expected; valibot's own are replaced.
  if (!issue.expected || issue.message.startsWith("expected ")) {
    return issue.message;
  }
  return `expected ${issue.expected}, got ${kindOf(issue.input)}`;
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "list" : typeof value;
}
