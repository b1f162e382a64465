/**
 * Our own network configuration, read once per call (configuration.md). A wrong
 * value fails ADD, never DEL, CHECK or GC (state.md). Plain checks (config-keys.ts)
 * recognise the documented values; for any other value the schema is loaded.
 */
import { type RawNumber, omitUndefined } from "../cni/json.ts";
import type { KubeOptions, Policy } from "../kube/access/access.ts";
import { nonBlank } from "../linux/text.ts";
import { type ConfigKeys, isOrdinary } from "./config-keys.ts";
import type * as configSchema from "./config-schema.ts";

/** The configuration with all defaults. Times are milliseconds. */
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

export const defaultConfDir = "/etc/cni/net.d";
export const defaultDataDir = "/var/lib/cni/genie";

/** A loop, because `filter` is JavaScript that each call compiles (docs/performance.md). */
function pluginDirectories(binDir: string | readonly string[]): string[] {
  const directories: string[] = [];
  for (const path of typeof binDir === "string" ? [binDir] : binDir)
    if (path !== "") directories.push(path);
  return directories;
}

/** Null is absent, as for Go programs. */
function configOf(keys: ConfigKeys, unknownKeys: readonly string[] = []) {
  const { kubernetes, policy, allowedPlugins } = keys;
  const automatic = keys.automatic
    ? automaticChoice(keys.automatic)
    : undefined;
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
    confDir: keys.confDir ?? defaultConfDir,
    binDirs: pluginDirectories(keys.binDir ?? []),
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
    /** Where the API server reads pods and definitions: etcd, or its watch cache. */
    apiReads: keys.apiReads ?? "latest",
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
    automatic,
    /** `automatic` names no network, so it has no effect. */
    hasEmptyAutomatic: Boolean(keys.automatic) && automatic === undefined,
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
  automatic: NonNullable<ConfigKeys["automatic"]>,
): AutomaticChoice | undefined {
  const { networks, by } = automatic;
  return networks?.length ? { networks, by: by ?? "attachments" } : undefined;
}

/** `10.0` is a RawNumber, see parseJson. */
function milliseconds(seconds: number | RawNumber): number {
  return Number(typeof seconds === "number" ? seconds : seconds.rawJSON) * 1000;
}

/** A blank value is treated as absent. */
export function kubeOptions({
  kubernetes,
  policy,
}: Pick<ConfigKeys, "kubernetes" | "policy">): KubeOptions {
  return omitUndefined<KubeOptions>({
    kubeconfig: nonBlank(kubernetes?.kubeconfig),
    server: nonBlank(kubernetes?.k8s_api_root),
    policy: omitUndefined<Policy>({
      server: nonBlank(policy?.k8s_api_root),
      token: nonBlank(policy?.k8s_auth_token),
      clientCertificate: nonBlank(policy?.k8s_client_certificate),
      clientKey: nonBlank(policy?.k8s_client_key),
      certificateAuthority: nonBlank(policy?.k8s_certificate_authority),
    }),
  });
}
