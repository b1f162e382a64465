/**
 * The runtime's request in the environment: the variables of each verb, their valid
 * values (P-ENV, P-IF, P-ID, P-NET), and the pairs of CNI_ARGS (cni-plugin.md §1.10).
 * Pure: the environment is a parameter.
 */
import { CniError, Code, invalidConfig } from "./error.ts";
import { isLonger } from "../linux/text.ts";

export interface Environment {
  /** Any text: the verb is validated after stdin (P-ENV-6). */
  command: string;
  /**
   * This and the next two are "" for a verb that does not read them: they are not
   * validated then (P-ENV-3).
   */
  containerId: string;
  netns: string;
  ifname: string;
  args: string;
  path: readonly string[];
  netnsOverride: boolean;
}

export type Env = Readonly<Record<string, string | undefined>>;

/**
 * The CNI variables. Throws code 4 for an invalid one, else for the missing
 * ones, all named in the order of the table (P-ENV-2, P-ENV-3).
 */
export function readEnvironment(env: Env): Environment {
  const command = env["CNI_COMMAND"] ?? "";
  const missing: string[] = [];
  const read = (name: Name): string => {
    const { required, optional, validate } = variables[name];
    // Set but empty is unset: libcni sets all of them (P-ENV-1).
    const value = env[name] || "";
    if (!required.includes(command))
      return optional.includes(command) ? value : "";
    if (value === "") missing.push(name);
    else validate?.(value);
    return value;
  };
  if (command === "") missing.push("CNI_COMMAND");
  const environment = {
    command,
    containerId: read("CNI_CONTAINERID"),
    netns: read("CNI_NETNS"),
    ifname: read("CNI_IFNAME"),
    args: env["CNI_ARGS"] ?? "",
    path: directories(read("CNI_PATH")),
    netnsOverride: isYes(env["CNI_NETNS_OVERRIDE"]),
  };
  if (missing.length > 0) {
    throw new CniError(
      Code.invalidEnvironment,
      `required env variables [${missing.join(",")}] missing`,
    );
  }
  return environment;
}

function isYes(value: string | undefined): boolean {
  return value === "1" || value?.toLowerCase() === "true";
}

/** An empty element would mean the working directory. */
function directories(path: string): string[] {
  const named: string[] = [];
  for (const directory of path.split(":"))
    if (directory !== "") named.push(directory);
  return named;
}

type Name = "CNI_CONTAINERID" | "CNI_NETNS" | "CNI_IFNAME" | "CNI_PATH";

interface Variable {
  /** Verbs that require it; only they validate the value. */
  required: readonly string[];
  /** Verbs that read it if it is set. */
  optional: readonly string[];
  validate?: (value: string) => void;
}

/** cni-plugin.md §1.1, in the order in which they are checked and named. */
const variables: Record<Name, Variable> = {
  CNI_CONTAINERID: {
    required: ["ADD", "CHECK", "DEL"],
    optional: [],
    validate: validateContainerId,
  },
  CNI_NETNS: { required: ["ADD", "CHECK"], optional: ["DEL"] },
  CNI_IFNAME: {
    required: ["ADD", "CHECK", "DEL"],
    optional: [],
    validate: validateIfname,
  },
  CNI_PATH: { required: ["ADD", "CHECK", "DEL", "GC", "STATUS"], optional: [] },
};

/** The fault of a value, in upstream's words. */
export interface Problem {
  msg: string;
  details?: string;
}

/**
 * The fault of an interface name by the rules of Linux and CNI (P-IF); undefined if
 * it is valid.
 */
export function ifnameProblem(name: string): Problem | undefined {
  if (name === "") return { msg: "interface name is empty" };
  if (isLonger(name, 15)) {
    return {
      msg: "interface name is too long",
      details: "interface name should be less than 16 characters",
    };
  }
  if (name === "." || name === "..")
    return { msg: "interface name is . or .." };
  // Fast path: an identifier has no forbidden character.
  if (isIdentifier(name)) return undefined;
  // `/`, `:` and the space characters of Go's unicode.IsSpace: `\s` lacks U+0085 and has U+FEFF.
  const forbidden =
    /[/:\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;
  if (forbidden.test(name))
    return { msg: "interface name contains / or : or whitespace characters" };
  // JSON can contain it, CNI_IFNAME cannot.
  if (name.includes("\0"))
    return { msg: "interface name contains a NUL character" };
  return undefined;
}

/** Throws code 4 for an invalid interface name (P-IF). */
export function validateIfname(name: string): void {
  const problem = ifnameProblem(name);
  if (problem)
    throw new CniError(Code.invalidEnvironment, problem.msg, problem);
}

/**
 * Whether the text can name a container or a network, which is safe as a file name
 * and on a command line (P-ID, P-NET).
 */
export function isIdentifier(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x61 && code <= 0x7a) continue; // a to z
    if (code >= 0x30 && code <= 0x39) continue; // 0 to 9
    if (code >= 0x41 && code <= 0x5a) continue; // A to Z
    const isMark = code === 0x2d || code === 0x2e || code === 0x5f; // - . _
    if (!isMark || i === 0) return false;
  }
  return text !== "";
}

/** Throws code 4 for invalid characters (P-ID). */
function validateContainerId(containerId: string): void {
  if (isIdentifier(containerId)) return;
  throw new CniError(
    Code.invalidEnvironment,
    "invalid characters in containerID",
    { details: containerId },
  );
}

/** Throws code 7 for an invalid network name (P-NET). */
export function validateNetworkName(name: string): void {
  if (name === "") throw invalidConfig("missing network name");
  if (isIdentifier(name)) return;
  throw new CniError(
    Code.invalidNetworkConfig,
    "invalid characters found in network name",
    { details: name },
  );
}

/**
 * The pairs of CNI_ARGS in order, split at the first `=`; a part without `=` is
 * skipped (§1.10).
 */
export function parseCniArgs(text: string): [key: string, value: string][] {
  const pairs: [key: string, value: string][] = [];
  for (const pair of text.split(";")) {
    const at = pair.indexOf("=");
    if (at > 0) pairs.push([pair.slice(0, at), pair.slice(at + 1)]);
  }
  return pairs;
}

/** The value of a key of CNI_ARGS; the last one wins, as in Go's LoadArgs. */
export function cniArg(args: string, key: string): string | undefined {
  let found: string | undefined;
  for (const [name, value] of parseCniArgs(args)) {
    if (name === key) found = value;
  }
  return found;
}

/** The text of CNI_ARGS; the inverse of `parseCniArgs`. */
export function formatCniArgs(
  pairs: Iterable<readonly [key: string, value: string]>,
): string {
  return Array.from(pairs, ([key, value]) => `${key}=${value}`).join(";");
}
