/**
 * Our own network configuration, validated once (configuration.md). Unknown keys
 * are ignored; keys of CNI-Genie that have no meaning today are accepted.
 */
import * as v from "valibot";
import { Code, CniError } from "../cni/error.ts";
import { type KubeOptions, kubeOptions } from "../kube/options.ts";

/** Go programs read null as absent, and so do we. */
const optional = <T extends v.GenericSchema>(schema: T) => v.nullish(schema);

/** `10.0` in a file is kept with its text, see parseJson. */
const number = v.pipe(
  v.unknown(),
  v.transform((value) =>
    JSON.isRawJSON(value) ? Number(value.rawJSON) : value,
  ),
  v.number(),
);
const seconds = v.pipe(number, v.finite(), v.gtValue(0), v.maxValue(86_400));
const names = v.array(v.string());
const path = v.pipe(v.string(), v.startsWith("/", "expected an absolute path"));

const schema = v.looseObject({
  type: optional(v.string()),
  capabilities: optional(v.record(v.string(), v.unknown())),
  runtimeConfig: optional(v.record(v.string(), v.unknown())),
  default_plugin: optional(v.string()),
  kubernetes: optional(
    v.looseObject({
      kubeconfig: optional(v.string()),
      k8s_api_root: optional(v.string()),
    }),
  ),
  policy: optional(
    v.looseObject({
      type: optional(v.string()),
      k8s_api_root: optional(v.string()),
      k8s_auth_token: optional(v.string()),
      k8s_client_certificate: optional(v.string()),
      k8s_client_key: optional(v.string()),
      k8s_certificate_authority: optional(v.string()),
    }),
  ),
  log_level: optional(v.string()),
  logFile: optional(v.string()),
  confDir: optional(path),
  binDir: optional(
    v.union([v.string(), names], "expected a string or a list of strings"),
  ),
  dataDir: optional(path),
  apiTimeout: optional(seconds),
  delegateTimeout: optional(seconds),
  result: optional(v.picklist(["primary", "merged"])),
  strict: optional(v.boolean()),
  namespaceIsolation: optional(v.boolean()),
  globalNamespaces: optional(names),
  systemNamespace: optional(v.string()),
  multusDir: optional(v.string()),
  allowedNetworks: optional(names),
  allowedPlugins: optional(names),
});

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
  const parsed = v.safeParse(schema, value);
  if (!parsed.success) throw invalid(parsed.issues);
  const config = parsed.output;
  return {
    type: config.type ?? "genie",
    defaultPlugin: config.default_plugin ?? "",
    kube: kubeOptions(config),
    logLevel: config.log_level ?? "warn",
    logFile: config.logFile || undefined,
    confDir: config.confDir ?? "/etc/cni/net.d",
    binDirs: [config.binDir ?? []].flat().filter((folder) => folder !== ""),
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

function invalid(issues: readonly v.BaseIssue<unknown>[]): CniError {
  const texts = issues.map((issue) => {
    const where = v.getDotPath(issue) ?? "";
    return `${where}: ${expectation(issue)}`;
  });
  return new CniError(
    Code.invalidNetworkConfig,
    `invalid configuration: ${texts.join(", ")}`,
  );
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
