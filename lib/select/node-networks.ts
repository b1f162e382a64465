/**
 * The networks of the node, and how a name leads to one (selection.md §4, §5). Pure,
 * but for files that are read when first needed: a pod whose network is found by its
 * file name reads no other file.
 */
import { isIdentifier } from "../cni/identifiers.ts";
import type { ConfFile } from "../cni/confdir.ts";
import type { NetworkConfigList } from "../cni/conflist.ts";
import { invalidConfig } from "../cni/error.ts";
import { executesAny } from "../cni/executable-types.ts";
import { plain, quote } from "../linux/text.ts";
import type { Element, Origin } from "./attachment.ts";
import type { GenieConfig } from "./config.ts";
import { joined } from "./problem-list.ts";

/** A file that a pod can choose. */
export interface Candidate {
  file: string;
  /** `10-weave.conf` is `weave`. */
  key: string;
  list: NetworkConfigList;
}

interface InvalidFile {
  file: string;
  problem: string;
}

/** The networks of a directory. */
export interface Networks {
  readonly confDir: string;
  /** The names of files that may hold a network, in byte order. */
  readonly files: readonly string[];
  /** The network of a file; undefined if it holds none. */
  candidate(file: string): Candidate | undefined;
  /** Every network: reads every file. */
  readonly candidates: readonly Candidate[];
  /** Invalid files, with the reason: reads every file. */
  readonly invalid: readonly InvalidFile[];
}

/** The plugin types that are genie itself. */
export function ownTypes(config: Pick<GenieConfig, "type">): readonly string[] {
  return ["genie", config.type];
}

/**
 * Calls `read` at most once for each file. A network that executes one of `types`
 * (genie) is not a candidate.
 */
export function lazyNetworks(
  confDir: string,
  files: readonly string[],
  read: (file: string) => ConfFile | undefined,
  types: readonly string[],
): Networks {
  const known = new Map<string, Candidate | InvalidFile | undefined>();
  const look = (file: string): Candidate | InvalidFile | undefined => {
    if (known.has(file)) return known.get(file);
    const found = candidateOf(read(file), types);
    known.set(file, found);
    return found;
  };
  const candidate = (file: string): Candidate | undefined => {
    const found = look(file);
    return found && "list" in found ? found : undefined;
  };
  return {
    confDir,
    files,
    candidate,
    get candidates() {
      return files.flatMap((file) => candidate(file) ?? []);
    },
    get invalid() {
      return files.flatMap((file) => {
        const found = look(file);
        return found && "problem" in found ? found : [];
      });
    },
  };
}

/** For files that were read already. */
export function networksOf(
  confDir: string,
  files: readonly ConfFile[],
  types: readonly string[],
): Networks {
  const byName = new Map<string, ConfFile>();
  for (const file of files) byName.set(file.file, file);
  return lazyNetworks(
    confDir,
    [...byName.keys()],
    (name) => byName.get(name),
    types,
  );
}

function candidateOf(
  read: ConfFile | undefined,
  types: readonly string[],
): Candidate | InvalidFile | undefined {
  if (!read) return undefined;
  const { file, list } = read;
  if (list === undefined) return { file, problem: read.problem };
  if (executesAny(list.plugins, types)) return undefined;
  const problem = networkNameProblem(list.name);
  return problem ? { file, problem } : { file, key: fileKey(file), list };
}

/** The fault of a network's `name`, without which no plugin can be executed (P-NET). */
export function networkNameProblem(name: string): string | undefined {
  if (isIdentifier(name)) return undefined;
  return name === ""
    ? "missing network name"
    : `invalid characters found in network name ${quote(name)}`;
}

/** Base name without extension, minus everything up to the first `-` that is not its first character. */
export function fileKey(file: string): string {
  const base = baseName(file);
  const dash = base.indexOf("-");
  return dash > 0 ? base.slice(dash + 1) : base;
}

function baseName(file: string): string {
  const dot = file.lastIndexOf(".");
  return dot < 0 ? file : file.slice(0, dot);
}

/** Rules 1 and 2, in the order of precedence: they read no file. */
const fileRules = [
  { name: "file key", of: fileKey },
  { name: "file name", of: baseName },
] as const;

/** Rules 3 and 4. */
const contentRules = [
  { name: "network name", of: ({ name }: NetworkConfigList) => name },
  {
    name: "first plugin's type",
    of: ({ plugins }: NetworkConfigList) => plugins[0]?.type ?? "",
  },
] as const;

/** Within a rule the first file wins; rule 5 repeats the others, ignoring case. undefined: none. */
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
      const found = matches(rule.of(file))
        ? networks.candidate(file)
        : undefined;
      if (found) return found;
    }
  }
  for (const rule of contentRules) {
    for (const candidate of networks.candidates) {
      if (matches(rule.of(candidate.list))) return candidate;
    }
  }
  return undefined;
}

/** The rule by which a name leads to the candidate: `file key of "10-weave.conf"`. */
export function describeMatch(candidate: Candidate, name: string): string {
  const { file } = candidate;
  const texts = namesByRule(candidate);
  const folded = name.toLowerCase();
  const exact = texts.find(([, text]) => text === name);
  const match =
    exact ?? texts.find(([, text]) => text.toLowerCase() === folded);
  return `${match?.[0] ?? "network"} of ${quote(file)}${exact ? "" : ", ignoring case"}`;
}

/** Every name by rules 1 to 4. */
export function namesOf(candidate: Candidate): string[] {
  return namesByRule(candidate).map(([, text]) => text);
}

function namesByRule({ file, list }: Candidate) {
  return [
    ...fileRules.map((rule) => [rule.name, rule.of(file)] as const),
    ...contentRules.map((rule) => [rule.name, rule.of(list)] as const),
  ];
}

/** Finds a network by its file key alone (rule 1). */
export function findByKey(
  networks: Networks,
  key: string,
): Candidate | undefined {
  return firstOf(networks, (file) => fileKey(file) === key);
}

/**
 * By the network's `name` alone, as definitions mean it (selection.md §6). The file whose
 * key is that name is read first; if it matches, no other is read.
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

export function firstOf(
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

/** {@link findNetwork}, which throws 7 with a list of the networks. */
export function requireNetwork(networks: Networks, name: string): Candidate {
  const found = findNetwork(networks, name);
  if (found) return found;
  const keys: string[] = [];
  for (const { key } of networks.candidates) keys.push(plain(key));
  throw invalidConfig(
    `no network ${quote(name)} in ${networks.confDir}: have ${joined(keys, 4000) || "none"}${invalidFiles(networks)}`,
  );
}

/** The end of a message: the files that hold no network, with the reasons. */
export function invalidFiles({ invalid }: Networks): string {
  const texts: string[] = [];
  for (const { file, problem } of invalid)
    texts.push(`${plain(file)} (${problem})`);
  return texts.length === 0 ? "" : `; invalid: ${joined(texts, 4000)}`;
}

/** A network of the node that was chosen. */
export interface NodeNetwork {
  candidate: Candidate;
  /** Absent for the first network of the directory. */
  name?: string | undefined;
  ifname?: string | undefined;
  /** Absent if no annotation names it. */
  element?: Element;
  /** Why it was chosen, if no annotation names it; absent for "default". */
  chosenAs?: Origin;
  /** In messages: `annotation "cni" names`. */
  origin: string;
}
