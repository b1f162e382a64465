/**
 * The keys of our network configuration, each with the form of its value
 * (configuration.md). These checks run for every pod; config-schema.ts words the error of a
 * value that fails them.
 */
import { isIdentifier } from "../cni/identifiers.ts";
import { type JsonObject, type RawNumber, isObject } from "../cni/json.ts";
import { isPath } from "../linux/text.ts";

/** A kind of value, a few texts, or an object of these keys and no others. */
export type Form =
  | "anything"
  | "object"
  | "flag"
  | "text"
  | "name"
  | "texts"
  | "paths"
  | "path"
  | "path or none"
  | "level"
  | "directory name"
  | "seconds"
  | "seconds or 0"
  | readonly string[]
  | Forms;

export interface Forms {
  readonly [key: string]: Form;
}

/** The keys that DEL, CHECK and GC use (state.md "DEL"). */
export const cleanupForms = {
  type: "name",
  default_plugin: "text",
  confDir: "path",
  binDir: "paths",
  dataDir: "path",
  log_level: "level",
  logFile: "path or none",
  delegateTimeout: "seconds",
  deleteGiveUp: "seconds or 0",
  runtimeCacheDir: "path or none",
  multusDir: "path or none",
} as const satisfies Forms;

/** Every key, in the order in which messages name them. */
export const configForms = {
  ...cleanupForms,
  // CNI's own keys, and those of CNI-Genie without effect.
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
  capabilities: "object",
  runtimeConfig: "object",
  kubernetes: { kubeconfig: "text", k8s_api_root: "text" },
  policy: {
    type: "text",
    k8s_api_root: "text",
    k8s_auth_token: "text",
    k8s_client_certificate: "text",
    k8s_client_key: "text",
    k8s_certificate_authority: "text",
  },
  apiTimeout: "seconds",
  apiReads: ["latest", "cached"],
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
  multusConfDir: "path or none",
  nodeName: "text",
  podResourcesSocket: "path",
} as const satisfies Forms;

/** Null is absent, as for Go programs. */
type Values<F extends Forms> = {
  readonly [Key in keyof F]?: Value<F[Key]> | null | undefined;
};

type Value<F extends Form> = F extends readonly (infer Text)[]
  ? Text
  : F extends Forms
    ? Values<F>
    : F extends keyof ValueByForm
      ? ValueByForm[F]
      : string;

interface ValueByForm {
  anything: unknown;
  object: JsonObject;
  flag: boolean;
  texts: readonly string[];
  paths: string | readonly string[];
  seconds: number | RawNumber;
  "seconds or 0": number | RawNumber;
}

export type ConfigKeys = Values<typeof configForms>;

/** Whether each value has its form; null, an unknown key and a RawNumber are left to the schema. */
export function isOrdinary(value: unknown): value is ConfigKeys {
  return hasForm(value, configForms);
}

export function hasForm(value: unknown, form: Form): boolean {
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
        ? isPathOrNone(value)
        : isTexts(value) && value.every(isPathOrNone);
    case "path":
      return (
        typeof value === "string" && value.startsWith("/") && isPath(value)
      );
    case "path or none":
      return isPathOrNone(value);
    case "level":
      return hasForm(value, ["error", "warn", "info", "debug"]);
    case "directory name":
      // It is the name of the list too, which CNI restricts.
      return (
        typeof value === "string" && value.length < 256 && isIdentifier(value)
      );
    case "seconds":
      return typeof value === "number" && value > 0 && value <= 86_400;
    case "seconds or 0":
      return typeof value === "number" && value >= 0 && value < Infinity;
  }
  if (isTexts(form)) return typeof value === "string" && form.includes(value);
  if (!isObject(value)) return false;
  for (const key of Object.keys(value)) {
    const inner = Object.hasOwn(form, key) ? form[key] : undefined;
    if (inner === undefined || !hasForm(value[key], inner)) return false;
  }
  return true;
}

/**
 * Relative paths are refused: each process that reads the configuration, a runtime, the
 * agent, an operator's command, has another working directory.
 */
function isPathOrNone(value: unknown): boolean {
  return value === "" || hasForm(value, "path");
}

/** A loop, because `every` is JavaScript that each call compiles (docs/performance.md). */
function isTexts(value: unknown): value is readonly string[] {
  if (!Array.isArray(value)) return false;
  for (const item of value) if (typeof item !== "string") return false;
  return true;
}
