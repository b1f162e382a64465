/**
 * From a requested name to a network configuration (selection.md §4, §5). Pure:
 * `confdir` has read the files, here one of them is chosen.
 */
import type { ConfFile } from "../cni/confdir.ts";
import type { NetworkConfigList } from "../cni/conflist.ts";
import { Code, CniError, quote } from "../cni/error.ts";
import { isObject, own } from "../cni/json.ts";

/** A file that a pod can choose. */
export interface Candidate {
  file: string;
  /** `10-weave.conf` is `weave`. */
  key: string;
  list: NetworkConfigList;
}

/** The networks of the node. */
export interface Networks {
  confDir: string;
  candidates: readonly Candidate[];
  /** Files that are no configuration, with the reason. */
  invalid: readonly { file: string; problem: string }[];
}

/** Leaves out what executes one of `ownTypes`: choosing it would be choosing ourselves. */
export function networksOf(
  confDir: string,
  files: readonly ConfFile[],
  ownTypes: readonly string[],
): Networks {
  const candidates: Candidate[] = [];
  const invalid: { file: string; problem: string }[] = [];
  for (const { file, list, problem } of files) {
    if (list === undefined) invalid.push({ file, problem });
    else if (!executesAny(list.plugins, ownTypes)) {
      candidates.push({ file, key: fileKey(file), list });
    }
  }
  return { confDir, candidates, invalid };
}

/** Whether a plugin, or one that it delegates to by its configuration, is of one of these types. */
export function executes(plugin: unknown, types: readonly string[]): boolean {
  if (!isObject(plugin)) return false;
  const type = own(plugin, "type");
  if (typeof type === "string" && types.includes(type)) return true;
  for (const key of ["delegates", "delegate", "plugins"]) {
    const nested = own(plugin, key);
    if (executesAny(Array.isArray(nested) ? nested : [nested], types))
      return true;
  }
  return false;
}

function executesAny(
  plugins: readonly unknown[],
  types: readonly string[],
): boolean {
  for (const plugin of plugins) if (executes(plugin, types)) return true;
  return false;
}

/** Base name without extension, minus everything up to the first `-` that is not its first character. */
export function fileKey(file: string): string {
  const base = baseName(file);
  const dash = base.indexOf("-");
  return dash > 0 ? base.slice(dash + 1) : base;
}

export function baseName(file: string): string {
  const dot = file.lastIndexOf(".");
  return dot < 0 ? file : file.slice(0, dot);
}

/** What a candidate may be called by, in the order of precedence. */
const rules: readonly ((candidate: Candidate) => string)[] = [
  (candidate) => candidate.key,
  (candidate) => baseName(candidate.file),
  (candidate) => candidate.list.name,
  (candidate) => candidate.list.plugins[0]?.type ?? "",
];

/** Within a rule the first file wins; the rules come again ignoring case. undefined: none. */
export function findNetwork(
  networks: Networks,
  name: string,
): Candidate | undefined {
  const folded = name.toLowerCase();
  let ignoringCase: Candidate | undefined;
  for (const rule of rules) {
    for (const candidate of networks.candidates) {
      const text = rule(candidate);
      if (text === name) return candidate;
      if (text.toLowerCase() === folded) ignoringCase ??= candidate;
    }
  }
  return ignoringCase;
}

/** As {@link findNetwork}. Throws 7 saying what there is instead. */
export function requireNetwork(networks: Networks, name: string): Candidate {
  const found = findNetwork(networks, name);
  if (found) return found;
  const keys =
    networks.candidates.map((candidate) => candidate.key).join(", ") || "none";
  throw new CniError(
    Code.invalidNetworkConfig,
    `no network ${quote(name)} in ${networks.confDir}: have ${keys}${invalidFiles(networks)}`,
  );
}

/** The first candidate that is more than a loopback. Throws 7. */
export function firstNetwork(networks: Networks): Candidate {
  for (const candidate of networks.candidates) {
    for (const { type } of candidate.list.plugins) {
      if (type !== "loopback") return candidate;
    }
  }
  throw new CniError(
    Code.invalidNetworkConfig,
    `no default network: ${networks.confDir} holds no other CNI configuration${invalidFiles(networks)}`,
  );
}

function invalidFiles({ invalid }: Networks): string {
  if (invalid.length === 0) return "";
  return `; invalid: ${invalid.map(({ file, problem }) => `${file} (${problem})`).join(", ")}`;
}
