/**
 * The request of a runtime: its environment and its configuration, validated in the order
 * of cni-plugin.md §1.2, which decides the code of the error.
 */
import { validateNetworkName } from "./identifiers.ts";
import { type Environment, readEnvironment } from "./environment.ts";
import { Code, CniError } from "./error.ts";
import { messageOf } from "../linux/errno.ts";
import { quote, textOf } from "../linux/text.ts";
import {
  mismatch,
  isObject,
  JsonError,
  type JsonObject,
  maxDepth,
  own,
  parseJson,
} from "./json.ts";
import {
  type CniVersion,
  compareVersions,
  has,
  isSupported,
  latestVersion,
  supportedVersions,
} from "./version.ts";
import type { Io } from "./plugin-io.ts";

/** The decoded network configuration of one plugin. */
interface NetConf {
  name: string;
  [key: string]: unknown;
}

export interface Request {
  command: Verb;
  /** This and the next two are "" for GC and STATUS. */
  containerId: string;
  /** "" if DEL has none. */
  netns: string;
  ifname: string;
  /** CNI_ARGS, untouched. */
  args: string;
  /** The directories of CNI_PATH, without empty ones. */
  path: readonly string[];
  config: NetConf;
  /** The configuration's version; 0.1.0 if it has none. */
  cniVersion: CniVersion;
}

/** A verb that reads stdin: all but VERSION. */
export type Verb = keyof typeof verbs;

interface VerbRule {
  method: "add" | "del" | "check" | "gc" | "status";
  /** The feature of the protocol that the verb needs; absent: every version has the verb. */
  feature?: Parameters<typeof has>[1];
  /** The verb works in the container's network namespace, which must not be ours (code 8). */
  entersNetns?: true;
}

/** cni-plugin.md §1.3. */
export const verbs = {
  ADD: { method: "add", entersNetns: true },
  DEL: { method: "del", entersNetns: true },
  CHECK: { method: "check", feature: "check" },
  GC: { method: "gc", feature: "gc" },
  STATUS: { method: "status", feature: "status" },
} as const satisfies Record<string, VerbRule>;

/** Of a request, as soon as stdin is decoded; an error before that has our version (P-ERR-2). */
export interface PartialRequest {
  version: CniVersion;
  config: JsonObject;
}

/** undefined for VERSION. The lines are in the order of §1.2. */
export function readRequest(
  io: Io,
  known: PartialRequest,
): Request | undefined {
  const environment = readEnvironment(io.env);
  if (environment.command === "VERSION") return undefined;
  const decoded = decodeConfig(readText(io), environment.command);
  const declared = own(decoded, "cniVersion") ?? "";
  known.config = decoded;
  if (declared === "") known.version = "0.1.0";
  else if (typeof declared === "string" && isSupported(declared))
    known.version = declared;

  const config = { ...decoded, name: nameOf(decoded) };
  validateNetworkName(config.name);
  const command = requireVerb(environment.command);
  const cniVersion = requireVersion(command, declared);
  const rule: VerbRule = verbs[command];
  if (rule.entersNetns) requireForeignNetns(environment, io);
  // Before anything is executed: an ADD without its result would have to be undone.
  if (command === "ADD" && io.isStdoutClosed())
    throw new CniError(Code.io, "failed to write to stdout: it is closed");

  const { containerId, netns, ifname, args, path } = environment;
  return {
    command,
    containerId,
    netns,
    ifname,
    args,
    path,
    config,
    cniVersion,
  };
}

function readText(io: Io): string {
  try {
    // As in Go: invalid UTF-8 becomes U+FFFD, and a byte order mark stays and is
    // refused.
    return textOf(io.readStdin());
  } catch (cause) {
    throw new CniError(
      Code.io,
      `error reading from stdin: ${messageOf(cause)}`,
      { cause },
    );
  }
}

/** Step 4. */
function decodeConfig(text: string, command: string): JsonObject {
  // In DEL and CHECK our own result comes back, one level down in `prevResult`.
  const depth =
    command === "DEL" || command === "CHECK" ? maxDepth + 1 : maxDepth;
  let decoded: unknown;
  try {
    // `null` is an empty configuration for Go.
    decoded = parseJson(text, depth) ?? {};
  } catch (cause) {
    // A program wrote this text: upstream's message, without the position.
    throw undecodable(
      cause instanceof JsonError ? cause.reason : messageOf(cause),
      cause,
    );
  }
  if (isObject(decoded)) return decoded;
  throw undecodable(mismatch("an object", decoded));
}

function nameOf(config: JsonObject): string {
  const name = own(config, "name") ?? "";
  if (typeof name === "string") return name;
  throw undecodable(`name: ${mismatch("a string", name)}`);
}

function undecodable(problem: string, cause?: unknown): CniError {
  return new CniError(
    Code.decoding,
    `error unmarshall network config: ${problem}`,
    { cause },
  );
}

function requireVerb(command: string): Verb {
  if (isVerb(command)) return command;
  throw new CniError(
    Code.invalidEnvironment,
    `unknown CNI_COMMAND: ${command}`,
  );
}

function isVerb(command: string): command is Verb {
  return Object.hasOwn(verbs, command);
}

/** Steps 7 to 9 (P-VER-1, P-VER-2). */
function requireVersion(command: Verb, declared: unknown): CniVersion {
  if (typeof declared !== "string") {
    throw new CniError(
      Code.decoding,
      `decoding version from network config: cniVersion: ${mismatch("a string", declared)}`,
    );
  }
  const version = declared || "0.1.0";
  const { feature }: VerbRule = verbs[command];
  if (feature) {
    if (!has(version, feature))
      throw incompatible(`config version does not allow ${command}`);
    if (compareVersions(version, latestVersion) > 0) {
      throw incompatible(`plugin version does not allow ${command}`);
    }
  }
  if (isSupported(version)) return version;
  const supported = supportedVersions.map((known) => `"${known}"`).join(" ");
  throw incompatible(
    "incompatible CNI versions",
    `config is ${quote(version)}, plugin supports [${supported}]`,
  );
}

function incompatible(msg: string, details?: string): CniError {
  return new CniError(Code.incompatibleVersion, msg, { details });
}

/**
 * Code 8, before anything is done: upstream checks after the verb, and so prints a
 * result and an error. A namespace that cannot be opened is not ours.
 */
function requireForeignNetns(
  { netns, netnsOverride }: Environment,
  io: Io,
): void {
  if (netns === "" || netnsOverride) return;
  const id = io.netnsId(netns);
  if (id === undefined || id !== io.netnsId("/proc/self/ns/net")) return;
  throw new CniError(
    Code.invalidNetns,
    "plugin's netns and netns from CNI_NETNS should not be the same",
  );
}
