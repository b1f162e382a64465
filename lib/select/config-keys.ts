/**
 * The keys of our network configuration and what their values may be
 * (configuration.md). Plain checks instead of a schema: making a schema takes
 * longer than everything else that a pod needs of its configuration.
 */
import { quote } from "../cni/error.ts";
import { isObject, own } from "../cni/json.ts";

/** The type of a value, by its kind. */
export interface Kinds {
  /** CNI's or CNI-Genie's: not checked here. */
  any: unknown;
  text: string;
  /** Not empty. */
  name: string;
  /** Absolute. */
  path: string;
  /** Absolute; "" means none. */
  pathOrNone: string;
  paths: string | string[];
  flag: boolean;
  /** Above 0, at most a day. */
  seconds: number;
  /** 0 means never. */
  secondsOrNever: number;
  names: string[];
  object: Record<string, unknown>;
  level: string;
  result: "primary" | "merged";
  defaultRoutes: "owner" | "keep";
  directoryName: string;
  kubernetes: Nested<typeof nestedKeys.kubernetes>;
  policy: Nested<typeof nestedKeys.policy>;
  automatic: { networks: string[]; by?: "attachments" | "traffic" | null };
}

type Nested<Keys extends readonly string[]> = {
  readonly [key in Keys[number]]?: string | null;
};

/** Every key that means something to genie, CNI or CNI-Genie. */
export const configKeys = {
  cniVersion: "any",
  cniVersions: "any",
  name: "any",
  type: "name",
  capabilities: "object",
  runtimeConfig: "object",
  prevResult: "any",
  ipam: "any",
  dns: "any",
  args: "any",
  disableCheck: "any",
  disableGC: "any",
  default_plugin: "text",
  kubernetes: "kubernetes",
  policy: "policy",
  log_level: "level",
  logFile: "pathOrNone",
  confDir: "path",
  binDir: "paths",
  dataDir: "path",
  apiTimeout: "seconds",
  delegateTimeout: "seconds",
  result: "result",
  strict: "flag",
  namespaceIsolation: "flag",
  globalNamespaces: "names",
  systemNamespace: "name",
  allowedNetworks: "names",
  allowedPlugins: "names",
  allowedIpams: "names",
  defaultRoutes: "defaultRoutes",
  allowRepeated: "names",
  automatic: "automatic",
  auxiliaryChain: "directoryName",
  deleteGiveUp: "secondsOrNever",
  runtimeCacheDir: "pathOrNone",
  multusDir: "pathOrNone",
  multusConfDir: "pathOrNone",
  nodeName: "text",
  podResourcesSocket: "path",
  etcd_endpoints: "any",
  hostname: "any",
  datastore_type: "any",
  romana_root: "any",
  segment_label_name: "any",
  cAdvisor_address: "any",
} as const satisfies Record<string, keyof Kinds>;

export type ConfigKey = keyof typeof configKeys;

/** The keys of the values that are objects of known keys. */
export const nestedKeys = {
  kubernetes: ["kubeconfig", "k8s_api_root"],
  policy: [
    "type",
    "k8s_api_root",
    "k8s_auth_token",
    "k8s_client_certificate",
    "k8s_client_key",
    "k8s_certificate_authority",
  ],
  automatic: ["networks", "by"],
} as const;

/** Values that have been checked; null is absent. */
export type CheckedKeys = {
  [K in ConfigKey]?: Kinds[(typeof configKeys)[K]];
};

export function isConfigKey(key: string): key is ConfigKey {
  return Object.hasOwn(configKeys, key);
}

/** Whether CNI adds the key to a plugin's request: `cni.dev/valid-attachments`. */
export function isCniKey(key: string): boolean {
  return key.startsWith("cni.dev/");
}

/** What is wrong with the value of a key, as it follows the key in a message: `: expected …`, `.networks: expected …`. */
export function configProblems(
  key: ConfigKey,
  value: unknown,
): readonly string[] {
  return checks[configKeys[key]](value);
}

type Check = (value: unknown) => readonly string[];

const none: readonly string[] = [];

const checks: Record<keyof Kinds, Check> = {
  any: () => none,
  text: matches("string", isString),
  name: matches(
    "a non-empty string",
    (value) => isString(value) && value !== "",
  ),
  path: matches("an absolute path", isPath),
  pathOrNone: matches(
    'an absolute path or ""',
    (value) => value === "" || isPath(value),
  ),
  paths: matches(
    "a string or a list of strings",
    (value) => isString(value) || isNames(value),
  ),
  flag: matches("boolean", (value) => typeof value === "boolean"),
  seconds: matches("a number above 0, at most 86400", isSeconds),
  secondsOrNever: matches(
    "a number of at least 0",
    (value) => Number.isFinite(value) && Number(value) >= 0,
  ),
  names: namesProblems,
  object: matches("object", isObject),
  level: matches("error, warn, info or debug", isLevel),
  result: matches(
    '"primary" or "merged"',
    (value) => value === "primary" || value === "merged",
  ),
  defaultRoutes: matches(
    '"owner" or "keep"',
    (value) => value === "owner" || value === "keep",
  ),
  directoryName: matches("the name of a directory", isDirectoryName),
  kubernetes: (value) => textsProblems(value, nestedKeys.kubernetes),
  policy: (value) => textsProblems(value, nestedKeys.policy),
  automatic: automaticProblems,
};

function matches(expected: string, test: (value: unknown) => boolean): Check {
  return (value) => (test(value) ? none : [mismatch(expected, value)]);
}

function isString(value: unknown): value is string {
  return typeof value === "string";
}

function isPath(value: unknown): boolean {
  return isString(value) && value.startsWith("/");
}

function isNames(value: unknown): boolean {
  return namesProblems(value).length === 0;
}

function isSeconds(value: unknown): boolean {
  return typeof value === "number" && value > 0 && value <= 86_400;
}

/** CNI-Genie's samples spell levels in several ways: `warning`, `Debug`. */
function isLevel(value: unknown): boolean {
  if (!isString(value)) return false;
  const level = value.toLowerCase();
  if (level === "") return true;
  for (const known of ["error", "warn", "info", "debug"]) {
    if (level.startsWith(known)) return true;
  }
  return false;
}

/** Below `confDir`, so neither a path nor a step up. */
function isDirectoryName(value: unknown): boolean {
  return (
    isString(value) && !value.includes("/") && !["", ".", ".."].includes(value)
  );
}

/** Of a list the first wrong item is told. */
function namesProblems(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return [mismatch("a list of strings", value)];
  for (const [i, name] of value.entries()) {
    if (!isString(name)) return [`.${i}${mismatch("string", name)}`];
  }
  return none;
}

/** Values here may be secrets: only their kind is told (configuration.md). */
function textsProblems(
  value: unknown,
  keys: readonly string[],
): readonly string[] {
  if (!isObject(value)) return [`: expected object, got ${kindOf(value)}`];
  const problems: string[] = [];
  for (const key of keys) {
    const text = own(value, key) ?? undefined;
    if (text !== undefined && !isString(text))
      problems.push(`.${key}: expected string, got ${kindOf(text)}`);
  }
  return problems;
}

function automaticProblems(value: unknown): readonly string[] {
  if (!isObject(value)) return [mismatch("object", value)];
  const problems: string[] = [];
  for (const problem of namesProblems(own(value, "networks")))
    problems.push(`.networks${problem}`);
  const by = own(value, "by") ?? "attachments";
  if (by !== "attachments" && by !== "traffic")
    problems.push(`.by${mismatch('"attachments" or "traffic"', by)}`);
  return problems;
}

function mismatch(expected: string, value: unknown): string {
  const kind = kindOf(value);
  const shown = isString(value)
    ? ` ${quote(value)}`
    : kind === "number" || kind === "boolean"
      ? ` ${JSON.stringify(value)}`
      : "";
  return `: expected ${expected}, got ${kind}${shown}`;
}

function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "list";
  return JSON.isRawJSON(value) ? "number" : typeof value;
}
