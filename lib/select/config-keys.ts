/**
 * What the values of our network configuration may be (configuration.md): one
 * plain check for each kind of value.
 */
import { isObject, own } from "../cni/json.ts";

/** Keys that are CNI's, or CNI-Genie's without a meaning today: accepted whatever their values are. */
export const acceptedKeys: readonly string[] = [
  "cniVersion",
  "cniVersions",
  "name",
  "prevResult",
  "ipam",
  "dns",
  "args",
  "disableCheck",
  "disableGC",
  "etcd_endpoints",
  "hostname",
  "datastore_type",
  "romana_root",
  "segment_label_name",
  "cAdvisor_address",
];

export const kubernetesKeys = ["kubeconfig", "k8s_api_root"] as const;
export const policyKeys = [
  "type",
  "k8s_api_root",
  "k8s_auth_token",
  "k8s_client_certificate",
  "k8s_client_key",
  "k8s_certificate_authority",
] as const;

type Texts<Keys extends readonly string[]> = {
  readonly [key in Keys[number]]?: string | null;
};

export function isText(value: unknown): value is string {
  return typeof value === "string";
}

/** Not empty. */
export function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

/** Absolute. */
export function isPath(value: unknown): value is string {
  return typeof value === "string" && value.startsWith("/");
}

/** Absolute, or "" for none. */
export function isPathOrNone(value: unknown): value is string {
  return value === "" || isPath(value);
}

export function isPaths(value: unknown): value is string | string[] {
  return typeof value === "string" || isNames(value);
}

export function isFlag(value: unknown): value is boolean {
  return typeof value === "boolean";
}

/** Above 0, at most a day. */
export function isSeconds(value: unknown): value is number {
  return typeof value === "number" && value > 0 && value <= 86_400;
}

/** 0 means never. */
export function isSecondsOrNever(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value < Infinity;
}

export function isNames(value: unknown): value is string[] {
  if (!Array.isArray(value)) return false;
  for (const entry of value) if (typeof entry !== "string") return false;
  return true;
}

/** CNI-Genie's samples spell levels in several ways: `warning`, `Debug`. */
export function isLevel(value: unknown): value is string {
  if (typeof value !== "string") return false;
  const level = value.toLowerCase();
  if (level === "") return true;
  for (const known of ["error", "warn", "info", "debug"]) {
    if (level.startsWith(known)) return true;
  }
  return false;
}

export function isResult(value: unknown): value is "primary" | "merged" {
  return value === "primary" || value === "merged";
}

export function isRouteRule(value: unknown): value is "owner" | "keep" {
  return value === "owner" || value === "keep";
}

/** In `confDir`, so neither a path nor a step up. */
export function isDirectoryName(value: unknown): value is string {
  if (typeof value !== "string" || value.includes("/")) return false;
  return value !== "" && value !== "." && value !== "..";
}

export function isKubernetes(
  value: unknown,
): value is Texts<typeof kubernetesKeys> {
  return haveTexts(value, kubernetesKeys);
}

export function isPolicy(value: unknown): value is Texts<typeof policyKeys> {
  return haveTexts(value, policyKeys);
}

function haveTexts(value: unknown, keys: readonly string[]): boolean {
  if (!isObject(value)) return false;
  for (const key of keys) {
    const text = own(value, key) ?? "";
    if (typeof text !== "string") return false;
  }
  return true;
}

export const automaticKeys = ["networks", "by"] as const;

export interface Automatic {
  networks: string[];
  by?: "attachments" | "traffic" | null;
}

export function isAutomatic(value: unknown): value is Automatic {
  const by = own(value, "by") ?? "attachments";
  return (
    isNames(own(value, "networks")) &&
    (by === "attachments" || by === "traffic")
  );
}
