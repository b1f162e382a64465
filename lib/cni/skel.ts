/**
 * The plugin side of the protocol: validates the runtime's request in the order of
 * cni-plugin.md §1.2, calls the verb, prints one result or one error. It is the
 * only module that prints; all others throw.
 */
import {
  type Env,
  type Environment,
  readEnvironment,
  validateNetworkName,
} from "./args.ts";
import { Code, CniError } from "./error.ts";
import { messageOf } from "../linux/errno.ts";
import { statusIfAny } from "../linux/files.ts";
import {
  isStdoutClosed,
  readStdin,
  writeStderr,
  writeStdout,
} from "../linux/stdio.ts";
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
import { convertResult, type Result } from "./result.ts";
import {
  type CniVersion,
  compareVersions,
  has,
  isSupported,
  latestVersion,
  supportedVersions,
  versionResponse,
} from "./version.ts";

/** The outside world of a plugin. */
export interface Io {
  env: Env;
  readStdin(): Uint8Array;
  /** A result could not be printed. */
  isStdoutClosed(): boolean;
  /** Returns when the whole text is written, also to a slow pipe (P-ERR-3). */
  stdout(text: string): void;
  /** Never throws: text that cannot be written is lost. */
  stderr(text: string): void;
  /** `dev:inode` of a namespace; undefined if the path cannot be opened. */
  netnsId(path: string): string | undefined;
}

/** The standard streams and files of this process. */
export function systemIo(env: Env): Io {
  return {
    env,
    readStdin,
    isStdoutClosed,
    stdout: writeStdout,
    stderr: writeStderr,
    netnsId,
  };
}

function netnsId(path: string): string | undefined {
  try {
    return statusIfAny(path)?.id;
  } catch {
    // A path that we may not read is not our own namespace.
    return undefined;
  }
}

/** The decoded network configuration of one plugin. */
interface NetConf {
  name: string;
  [key: string]: unknown;
}

/** A valid request. */
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

/**
 * The verbs; each throws a CniError if it fails. `add` returns its result in any
 * version, and skel converts it to the configuration's.
 */
export interface Plugin {
  /** One line for a user who runs the program by hand. */
  about: string;
  add(request: Request): Promise<Result>;
  del(request: Request): Promise<void>;
  check(request: Request): Promise<void>;
  gc(request: Request): Promise<void>;
  status(request: Request): Promise<void>;
  /**
   * Called with the error of a request that is refused before its verb is called, and
   * what is known of its configuration.
   */
  refused?(error: CniError, config: JsonObject): void;
}

/** Serves one call of the runtime. Never throws; returns the exit code, 0 or 1. */
export async function runPlugin(plugin: Plugin, io: Io): Promise<number> {
  const known: Known = { version: latestVersion, config: {} };
  let request: Request | undefined;
  let response: string;
  let exitCode = 0;
  try {
    if (!io.env["CNI_COMMAND"]) {
      io.stderr(aboutText(plugin));
      return 0;
    }
    request = readRequest(io, known);
    if (request) {
      const { method } = verbs[request.command];
      const result = await plugin[method](request);
      response = result
        ? `${JSON.stringify(convertResult(result, request.cniVersion))}\n`
        : "";
    } else response = versionResponse;
  } catch (thrown) {
    const error = CniError.from(thrown);
    response = `${JSON.stringify(error.toObject(known.version))}\n`;
    if (!request) plugin.refused?.(error, known.config);
    exitCode = 1;
  }
  try {
    if (response !== "") io.stdout(response);
    return exitCode;
  } catch (cause) {
    // An error is short; a result would be useless on stderr.
    const unprinted = exitCode === 0 ? "" : response;
    io.stderr(`failed to write to stdout: ${messageOf(cause)}\n${unprinted}`);
    return 1;
  }
}

function aboutText({ about }: Plugin): string {
  return `${about}\nCNI protocol versions supported: ${supportedVersions.join(", ")}\n`;
}

/** A verb that reads stdin: all but VERSION. */
export type Verb = keyof typeof verbs;

interface VerbRule {
  method: "add" | "del" | "check" | "gc" | "status";
  /** The feature of the protocol that the verb needs; absent: every version has the verb. */
  feature?: Parameters<typeof has>[1];
  /** The verb works in the container's network namespace, which must not be ours (code 8). */
  entersNetns: boolean;
}

/** cni-plugin.md §1.3. */
const verbs = {
  ADD: { method: "add", entersNetns: true },
  DEL: { method: "del", entersNetns: true },
  CHECK: { method: "check", entersNetns: false, feature: "check" },
  GC: { method: "gc", entersNetns: false, feature: "gc" },
  STATUS: { method: "status", entersNetns: false, feature: "status" },
} as const satisfies Record<string, VerbRule>;

/** Of a request, as soon as stdin is decoded; an error before that has our version (P-ERR-2). */
interface Known {
  version: CniVersion;
  config: JsonObject;
}

/** undefined for VERSION. The lines are in the order of §1.2. */
function readRequest(io: Io, known: Known): Request | undefined {
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
