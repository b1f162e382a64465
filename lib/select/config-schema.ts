/**
 * The schema of our network configuration (configuration.md): its keys, its type,
 * the wording of its errors. Loaded for a configuration that the plain checks of
 * config.ts do not recognise.
 */
import * as v from "valibot";
import { isIdentifier } from "../cni/args.ts";
import { Code, CniError } from "../cni/error.ts";
import { type JsonObject, isObject } from "../cni/json.ts";
import {
  jsonObject,
  number,
  object,
  parse,
  problemsIn,
  text,
} from "../cni/schema.ts";
import { isPath } from "../linux/text.ts";
import { joined } from "./problem-list.ts";

/** CNI's own keys, and those of CNI-Genie without effect. */
const anything = v.optional(v.unknown());

const string = v.nullish(v.string());
const stringArray = v.array(v.string(), "an array of strings");
const strings = v.nullish(stringArray);
const flag = v.nullish(v.boolean());
const isAbsolute = (value: string) => value.startsWith("/") && isPath(value);
const directory = text(isPath, "a path");
const name = v.nullish(text((value) => value !== "", "a non-empty string"));
const path = v.nullish(text(isAbsolute, "an absolute path"));
const pathOrNone = v.nullish(
  text((value) => value === "" || isAbsolute(value), 'an absolute path or ""'),
);
const seconds = v.nullish(
  number(
    (value) => value > 0 && value <= 86_400,
    "a number above 0, at most 86400",
  ),
);

/** The keys whose values are objects of known keys. */
const groups = {
  kubernetes: { kubeconfig: string, k8s_api_root: string },
  policy: {
    type: string,
    k8s_api_root: string,
    k8s_auth_token: string,
    k8s_client_certificate: string,
    k8s_client_key: string,
    k8s_certificate_authority: string,
  },
  automatic: {
    networks: strings,
    by: v.nullish(v.picklist(["attachments", "traffic"])),
  },
};

/** The keys that DEL, CHECK and GC use (state.md "DEL"). */
const cleanup = {
  type: name,
  default_plugin: string,
  confDir: path,
  binDir: v.nullish(
    v.union([directory, v.array(directory)], "a path or an array of paths"),
  ),
  dataDir: path,
  // CNI-Genie's samples spell levels in several ways: `warning`, `Debug`.
  log_level: v.nullish(
    text(
      (value) => /^(?:$|error|warn|info|debug)/i.test(value),
      '"error", "warn", "info" or "debug"',
    ),
  ),
  logFile: pathOrNone,
  delegateTimeout: seconds,
  deleteGiveUp: v.nullish(
    number((value) => value >= 0 && value < Infinity, "a number of at least 0"),
  ),
  runtimeCacheDir: pathOrNone,
  multusDir: pathOrNone,
};

const entries = {
  ...cleanup,
  cniVersion: anything,
  cniVersions: anything,
  name: anything,
  prevResult: anything,
  ipam: anything,
  dns: anything,
  args: anything,
  disableCheck: anything,
  disableGC: anything,
  etcd_endpoints: anything,
  hostname: anything,
  datastore_type: anything,
  romana_root: anything,
  segment_label_name: anything,
  cAdvisor_address: anything,
  capabilities: v.nullish(jsonObject),
  runtimeConfig: v.nullish(jsonObject),
  kubernetes: v.nullish(object(groups.kubernetes)),
  policy: v.nullish(object(groups.policy)),
  apiTimeout: seconds,
  result: v.nullish(v.picklist(["primary", "merged"])),
  strict: flag,
  namespaceIsolation: flag,
  globalNamespaces: strings,
  systemNamespace: name,
  allowedNetworks: strings,
  allowedPlugins: strings,
  allowedIpams: strings,
  defaultRoutes: v.nullish(v.picklist(["owner", "keep"])),
  allowRepeated: strings,
  automatic: v.nullish(object(groups.automatic)),
  // Also the name of the list, as CNI allows it.
  auxiliaryChain: v.nullish(
    text(
      (value) => value.length < 256 && isIdentifier(value),
      "the name of a directory: letters, digits, and . _ - after the first",
    ),
  ),
  multusConfDir: pathOrNone,
  nodeName: string,
  podResourcesSocket: path,
};

const schema = object(entries);

export type ConfigKey = keyof typeof entries;
export type ConfigKeys = v.InferInput<typeof schema>;

/** Every known key of genie, CNI and CNI-Genie; keys of objects as `policy.type`. */
export const configKeys: readonly string[] = [
  ...Object.keys(entries),
  ...Object.entries(groups).flatMap(([key, group]) =>
    Object.keys(group).map((inner) => `${key}.${inner}`),
  ),
];

const wording = { secret: ["kubernetes", "policy"] };

/** Throws 7 naming every wrong key. */
export function requireConfig(config: unknown): ConfigKeys {
  return parse(schema, config, () => {
    const problems = joined(problemsIn(schema, config, wording));
    return new CniError(
      Code.invalidNetworkConfig,
      `invalid configuration: ${problems}`,
    );
  });
}

/**
 * The configuration without wrong keys; `warn` gets the problem of each one that
 * DEL, CHECK and GC use.
 */
export function usableConfig(
  config: unknown,
  warn: (problem: string) => void,
): ConfigKeys {
  const usable = isObject(config) ? { ...config } : {};
  for (const problem of problemsIn(object(cleanup), usable))
    warn(`invalid configuration, the default is used: ${problem}`);
  for (const [key, value] of Object.entries(entries))
    if (!v.is(value, usable[key])) delete usable[key];
  return requireConfig(usable);
}

/** The paths of unknown keys. `cni.dev/…` is CNI's. */
export function unknownConfigKeys(config: JsonObject): string[] {
  return Object.entries(config)
    .flatMap(([key, value]) => {
      const isGroup = Object.hasOwn(groups, key) && isObject(value);
      const inner = isGroup ? Object.keys(value) : [];
      return [key, ...inner.map((one) => `${key}.${one}`)];
    })
    .filter((key) => !key.startsWith("cni.dev/") && !configKeys.includes(key));
}
