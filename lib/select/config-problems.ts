/**
 * What is wrong with our network configuration, in words (configuration.md).
 * Loaded for a configuration with a wrong value or an unknown key.
 */
import { quote } from "../linux/text.ts";
import { isObject, own } from "../cni/json.ts";
import {
  acceptedKeys,
  automaticKeys,
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

interface Kind {
  is(value: unknown): boolean;
  expected: string;
  /** What is wrong inside; absent: the value as a whole. */
  problems?(value: unknown): string[];
  /** The keys of an object of known keys. */
  keys?: readonly string[];
}

const text: Kind = { is: isText, expected: "string" };
const name: Kind = { is: isName, expected: "a non-empty string" };
const path: Kind = { is: isPath, expected: "an absolute path" };
const pathOrNone: Kind = {
  is: isPathOrNone,
  expected: 'an absolute path or ""',
};
const flag: Kind = { is: isFlag, expected: "boolean" };
const seconds: Kind = {
  is: isSeconds,
  expected: "a number above 0, at most 86400",
};
const names: Kind = {
  is: isNames,
  expected: "a list of strings",
  problems: namesProblems,
};
const object: Kind = { is: isObject, expected: "object" };

/** Every key of ours and what its value may be. */
const kinds: Readonly<Record<string, Kind>> = {
  type: name,
  capabilities: object,
  runtimeConfig: object,
  default_plugin: text,
  kubernetes: {
    is: isKubernetes,
    expected: "object",
    problems: (value) => textProblems(value, kubernetesKeys),
    keys: kubernetesKeys,
  },
  policy: {
    is: isPolicy,
    expected: "object",
    problems: (value) => textProblems(value, policyKeys),
    keys: policyKeys,
  },
  log_level: { is: isLevel, expected: "error, warn, info or debug" },
  logFile: pathOrNone,
  confDir: path,
  binDir: { is: isPaths, expected: "a string or a list of strings" },
  dataDir: path,
  apiTimeout: seconds,
  delegateTimeout: seconds,
  result: { is: isResult, expected: '"primary" or "merged"' },
  strict: flag,
  namespaceIsolation: flag,
  globalNamespaces: names,
  systemNamespace: name,
  allowedNetworks: names,
  allowedPlugins: names,
  allowedIpams: names,
  defaultRoutes: { is: isRouteRule, expected: '"owner" or "keep"' },
  allowRepeated: names,
  automatic: {
    is: isAutomatic,
    expected: "object",
    problems: automaticProblems,
    keys: automaticKeys,
  },
  auxiliaryChain: { is: isDirectoryName, expected: "the name of a directory" },
  deleteGiveUp: { is: isSecondsOrNever, expected: "a number of at least 0" },
  runtimeCacheDir: pathOrNone,
  multusDir: pathOrNone,
  multusConfDir: pathOrNone,
  nodeName: text,
  podResourcesSocket: path,
};

/** Every key that means something to genie, CNI or CNI-Genie; `policy.type` of an object. */
export const configKeys: readonly string[] = [
  ...acceptedKeys,
  ...Object.entries(kinds).flatMap(([key, { keys = [] }]) => [
    key,
    ...keys.map((inner) => `${key}.${inner}`),
  ]),
];

/** The keys that DEL, CHECK and GC use (state.md "DEL"). */
export const cleanupKeys: readonly string[] = [
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
];

export interface ConfigProblem {
  key: string;
  /** `strict: expected boolean, got string "yes"` */
  text: string;
}

/** In the order of the configuration. */
export function configProblems(config: unknown): ConfigProblem[] {
  if (!isObject(config))
    return [{ key: "", text: `expected an object, got ${typeOf(config)}` }];
  const found: ConfigProblem[] = [];
  for (const [key, given] of Object.entries(config)) {
    const kind = own(kinds, key) ? kinds[key] : undefined;
    if (!kind || given === null) continue;
    const value = JSON.isRawJSON(given) ? Number(given.rawJSON) : given;
    if (kind.is(value)) continue;
    const problems = kind.problems?.(value) ?? [mismatch(kind.expected, value)];
    for (const problem of problems) found.push({ key, text: key + problem });
  }
  return found;
}

/** Keys that mean nothing, by their path. `cni.dev/…` is CNI's. */
export function unknownKeysOf(config: object): string[] {
  const unknown: string[] = [];
  for (const [key, value] of Object.entries(config)) {
    if (key.startsWith("cni.dev/")) continue;
    if (!configKeys.includes(key)) unknown.push(key);
    const { keys } = (own(kinds, key) ? kinds[key] : undefined) ?? {};
    if (!keys || !isObject(value)) continue;
    for (const inner of Object.keys(value))
      if (!keys.includes(inner)) unknown.push(`${key}.${inner}`);
  }
  return unknown;
}

/** Of a list the first wrong item is told. */
function namesProblems(value: unknown): string[] {
  if (!Array.isArray(value)) return [mismatch(names.expected, value)];
  const wrong = value.findIndex((entry) => !isText(entry));
  return [`.${wrong}${mismatch("string", value[wrong])}`];
}

/** Values here may be secrets: only their type is told (configuration.md). */
function textProblems(value: unknown, keys: readonly string[]): string[] {
  if (!isObject(value)) return [`: expected object, got ${typeOf(value)}`];
  const problems: string[] = [];
  for (const key of keys) {
    const inner = own(value, key) ?? "";
    if (!isText(inner))
      problems.push(`.${key}: expected string, got ${typeOf(inner)}`);
  }
  return problems;
}

function automaticProblems(value: unknown): string[] {
  if (!isObject(value)) return [mismatch(object.expected, value)];
  const problems: string[] = [];
  const networks = own(value, "networks");
  if (!isNames(networks))
    for (const problem of namesProblems(networks))
      problems.push(`.networks${problem}`);
  const by = own(value, "by") ?? "attachments";
  if (by !== "attachments" && by !== "traffic")
    problems.push(`.by${mismatch('"attachments" or "traffic"', by)}`);
  return problems;
}

function mismatch(expected: string, value: unknown): string {
  const type = typeOf(value);
  const shown =
    typeof value === "string"
      ? ` ${quote(value)}`
      : type === "number" || type === "boolean"
        ? ` ${JSON.stringify(value)}`
        : "";
  return `: expected ${expected}, got ${type}${shown}`;
}

function typeOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "list";
  return JSON.isRawJSON(value) ? "number" : typeof value;
}
