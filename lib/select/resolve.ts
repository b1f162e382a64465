/**
 * From a requested name to a network configuration of the node (selection.md §4).
 * Pure, but for the files that are read when they are first needed: a pod whose
 * network is found by its file name pays for no other file.
 */
import type { ConfFile } from "../cni/confdir.ts";
import type { NetworkConfigList } from "../cni/conflist.ts";
import { Code, CniError } from "../cni/error.ts";
import { plain, quote } from "../linux/text.ts";
import { executesAny } from "../cni/executable-types.ts";
import { joined } from "./problems.ts";

/** A file that a pod can choose. */
export interface Candidate {
  file: string;
  /** `10-weave.conf` is `weave`. */
  key: string;
  list: NetworkConfigList;
}

export interface InvalidFile {
  file: string;
  problem: string;
}

/** The networks of a directory. */
export interface Networks {
  readonly confDir: string;
  /** The files that may hold one, in byte order. */
  readonly files: readonly string[];
  /** The network of one of the files; undefined where that is none. */
  candidate(file: string): Candidate | undefined;
  /** Every network: reads every file. */
  readonly candidates: readonly Candidate[];
  /** Files that are no configuration, with the reason: reads every file. */
  readonly invalid: readonly InvalidFile[];
}

/** `read` is asked for each file at most once. What executes one of `ownTypes` is no candidate: choosing it would be choosing ourselves. */
export function lazyNetworks(
  confDir: string,
  files: readonly string[],
  read: (file: string) => ConfFile | undefined,
  ownTypes: readonly string[],
): Networks {
  const seen = new Map<string, Candidate | InvalidFile | undefined>();
  const look = (file: string): Candidate | InvalidFile | undefined => {
    if (seen.has(file)) return seen.get(file);
    const found = candidateOf(read(file), ownTypes);
    seen.set(file, found);
    return found;
  };
  return {
    confDir,
    files,
    candidate(file) {
      const found = look(file);
      return found && "list" in found ? found : undefined;
    },
    get candidates() {
      const candidates: Candidate[] = [];
      for (const file of files) {
        const found = look(file);
        if (found && "list" in found) candidates.push(found);
      }
      return candidates;
    },
    get invalid() {
      const invalid: InvalidFile[] = [];
      for (const file of files) {
        const found = look(file);
        if (found && "problem" in found) invalid.push(found);
      }
      return invalid;
    },
  };
}

/** Of files that have been read. */
export function networksOf(
  confDir: string,
  files: readonly ConfFile[],
  ownTypes: readonly string[],
): Networks {
  const byName = new Map<string, ConfFile>();
  for (const file of files) byName.set(file.file, file);
  const read = (name: string) => byName.get(name);
  return lazyNetworks(confDir, [...byName.keys()], read, ownTypes);
}

function candidateOf(
  read: ConfFile | undefined,
  ownTypes: readonly string[],
): Candidate | InvalidFile | undefined {
  if (!read) return undefined;
  const { file, list, problem } = read;
  if (list === undefined) return { file, problem };
  if (executesAny(list.plugins, ownTypes)) return undefined;
  return { file, key: fileKey(file), list };
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

/** What a candidate may be called by, in the order of precedence: rules 1 and 2, which need no file to be read, */
const fileRules: readonly ((file: string) => string)[] = [fileKey, baseName];

/** and rules 3 and 4. */
const contentRules: readonly ((list: NetworkConfigList) => string)[] = [
  ({ name }) => name,
  ({ plugins }) => plugins[0]?.type ?? "",
];

/** Within a rule the first file wins; rule 5 is the others again, ignoring case. undefined: none. */
export function findNetwork(
  networks: Networks,
  name: string,
): Candidate | undefined {
  const folded = name.toLowerCase();
  return (
    firstMatch(networks, (text) => text === name) ??
    firstMatch(networks, (text) => text.toLowerCase() === folded)
  );
}

function firstMatch(
  networks: Networks,
  matches: (text: string) => boolean,
): Candidate | undefined {
  for (const rule of fileRules) {
    for (const file of networks.files) {
      const found = matches(rule(file)) ? networks.candidate(file) : undefined;
      if (found) return found;
    }
  }
  for (const rule of contentRules) {
    for (const candidate of networks.candidates) {
      if (matches(rule(candidate.list))) return candidate;
    }
  }
  return undefined;
}

/** By the file key alone (rule 1). */
export function findByKey(
  networks: Networks,
  key: string,
): Candidate | undefined {
  return firstOf(networks, (file) => fileKey(file) === key);
}

/**
 * By the network's `name` alone, as definitions mean it (selection.md §6). A file
 * that is called like its network is read first, and then no other.
 */
export function findByName(
  networks: Networks,
  name: string,
): Candidate | undefined {
  const byKey = findByKey(networks, name);
  if (byKey?.list.name === name) return byKey;
  return firstOf(
    networks,
    () => true,
    ({ list }) => list.name === name,
  );
}

function firstOf(
  networks: Networks,
  isRead: (file: string) => boolean,
  matches: (candidate: Candidate) => boolean = () => true,
): Candidate | undefined {
  for (const file of networks.files) {
    const found = isRead(file) ? networks.candidate(file) : undefined;
    if (found && matches(found)) return found;
  }
  return undefined;
}

/** As {@link findNetwork}. Throws 7 saying what there is instead. */
export function requireNetwork(networks: Networks, name: string): Candidate {
  const found = findNetwork(networks, name);
  if (found) return found;
  const keys: string[] = [];
  for (const { key } of networks.candidates) keys.push(plain(key));
  throw new CniError(
    Code.invalidNetworkConfig,
    `no network ${quote(name)} in ${networks.confDir}: have ${joined(keys, 4000) || "none"}${invalidFiles(networks)}`,
  );
}

/** The first candidate that is more than a loopback. Throws 7. */
export function firstNetwork(networks: Networks): Candidate {
  const found = firstOf(networks, () => true, isMoreThanLoopback);
  if (found) return found;
  throw new CniError(
    Code.invalidNetworkConfig,
    `no default network: ${networks.confDir} holds no other CNI configuration${invalidFiles(networks)}`,
  );
}

function isMoreThanLoopback({ list }: Candidate): boolean {
  for (const { type } of list.plugins) if (type !== "loopback") return true;
  return false;
}

function invalidFiles({ invalid }: Networks): string {
  const texts: string[] = [];
  for (const { file, problem } of invalid)
    texts.push(`${plain(file)} (${problem})`);
  return texts.length === 0 ? "" : `; invalid: ${joined(texts, 4000)}`;
}
