/**
 * Calls one plugin: finds its executable, executes it with the request, and returns its
 * decoded output or throws one `CniError` (cni-runtime.md §2.5).
 */
import { type Deadline, monotonicMs } from "../linux/deadline.ts";
import { CniError, Code, invalidConfig } from "./error.ts";
import { messageOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import type { Exec, ExecRequest, ExecResult } from "../linux/exec.ts";
import { statusIfAny } from "../linux/files.ts";
import { parseJson, setOwn } from "./json.ts";
import type { Verb } from "./plugin-request.ts";
import { type Status, requireExecutable } from "../linux/file-calls.ts";
import type { Env } from "./environment.ts";

/**
 * One attachment of a container to a network, as in libcni; "" for a verb without
 * container (P-ENV-1).
 */
export interface RuntimeConf {
  containerId: string;
  /** Empty also if the namespace is gone. */
  netns: string;
  ifname: string;
  /** CNI_ARGS, unchanged. */
  args: string;
  /** Becomes `runtimeConfig` of the plugins that declare the capability. */
  capabilityArgs: Readonly<Record<string, unknown>>;
  /** The directories of CNI_PATH. */
  path: readonly string[];
}

/** For GC, STATUS and VERSION. */
export function withoutContainer(path: readonly string[]): RuntimeConf {
  const empty = { containerId: "", netns: "", ifname: "", args: "" };
  return { ...empty, capabilityArgs: {}, path };
}

/** The execution of plugins for one call of genie. */
export interface Caller {
  exec: Exec;
  /** Our environment; CNI_* are added. */
  env: Env;
  /** Descriptors that delegates inherit. */
  inherit: readonly number[];
  /** The directory for output that cannot be kept in memory: `dataDir`. */
  scratch?: string;
  /** Called after each start of a delegate. Must not throw. */
  started?: (() => unknown) | undefined;
  /** Called after each execution, for a log. Must not throw. */
  executed?: ((execution: Execution) => void) | undefined;
  /** Called for an error that a successful call printed. Must not throw. */
  warn?: (message: string, call: Call) => void;
  /** Time limit of one execution in milliseconds. */
  timeoutMs: number;
  /** Takes the delegates' stderr: our stderr. */
  stderr(text: string): void;
  sleep(ms: number): Promise<void>;
  /** A variable, beside CNI_*, that has the container's ID: by it a meta-plugin recognises its delegates. */
  containerVariable?: string;
  /** `"device:inode"` of our own executable, which is never executed (selection.md §4). */
  self?: string | undefined;
  /**
   * An executable that could not be started for an interface: nothing of it is there to
   * be deleted, so its calls succeed.
   */
  neverRan?: { path: string; ifname: string } | undefined;
}

export interface Call {
  verb: Verb | "VERSION";
  type: string;
  /** The name of the plugin's network; VERSION has none. */
  network?: string;
  config: string;
  runtime: RuntimeConf;
  deadline: Deadline;
}

export interface Execution {
  call: Call;
  ms: number;
  /** The plugin's whole stderr. */
  stderr: string;
  /** The value that `invoke` returned. */
  output?: unknown;
  /** The error of an execution that failed. */
  error?: CniError;
}

/**
 * Executes a plugin; returns `read` of its decoded stdout. Without `read` stdout is
 * ignored, as for DEL, CHECK, GC and STATUS (F-6).
 *
 * Throws the plugin's own error with its code; 7 when the executable is missing
 * or cannot be executed; 11 for the time limit, "text file busy" and a machine
 * without room for a process; 999 for a response that is not CNI; and the error of
 * `read`. Each names the plugin and the verb.
 */
export async function invoke<T>(
  call: Call,
  caller: Caller,
  read?: (output: unknown) => T,
): Promise<T | undefined> {
  const began = caller.executed ? monotonicMs() : 0;
  let path: string | undefined;
  let stderr = "";
  let output: T | undefined;
  try {
    path = findPlugin(call.type, call.runtime.path, caller.self);
    const { neverRan } = caller;
    if (path === neverRan?.path && call.runtime.ifname === neverRan.ifname)
      return undefined;
    const request = execRequest(path, call, caller);
    let result: ExecResult;
    try {
      result = await caller.exec(request);
    } catch (error) {
      result = await executeAgain(path, error, call, caller);
    }
    ({ stderr } = result);
    if (stderr !== "") caller.stderr(stderr);
    if (result.killed || result.exitCode !== 0) {
      const { failure } = await pluginErrors();
      throw failure(result);
    }
    if (read) {
      let value: unknown;
      try {
        value = parseJson(result.stdout);
      } catch (problem) {
        const { undecodable } = await pluginErrors();
        throw undecodable(result, problem);
      }
      output = read(value);
    }
    if (result.stdout.includes('"msg"')) {
      const { printedError } = await pluginErrors();
      const problem = printedError(call, result);
      if (problem !== undefined) caller.warn?.(problem, call);
    }
  } catch (cause) {
    const error = CniError.from(cause);
    if (path !== undefined)
      caller.executed?.({ call, ms: monotonicMs() - began, stderr, error });
    const { ofCall } = await pluginErrors();
    throw ofCall(call, error);
  }
  caller.executed?.({ call, ms: monotonicMs() - began, stderr, output });
  return output;
}

/** The wording of failures, which few pods need. */
function pluginErrors() {
  return import("./plugin-error.ts");
}

/**
 * The first regular file of that name in the directories; symbolic links are
 * followed (F-1). Throws 7, also when the file is this very program.
 */
export function findPlugin(
  type: string,
  directories: readonly string[],
  self?: string,
): string {
  if (type === "") throw invalidConfig("no plugin name provided");
  if (type.includes("/")) {
    throw invalidConfig(`invalid plugin name: ${quote(type)}`);
  }
  const searched: string[] = [];
  const problems: string[] = [];
  for (const directory of directories) {
    if (directory === "") continue;
    searched.push(directory);
    const path = `${directory}/${type}`;
    let file: Status | undefined;
    try {
      file = statusIfAny(path);
    } catch (error) {
      // An unreadable directory does not hide the others.
      problems.push(`: ${directory}: ${messageOf(error)}`);
    }
    if (file?.kind !== "file") continue;
    if (file.id === self) {
      throw invalidConfig(
        `refusing to execute plugin ${quote(type)}: ${path} is this plugin itself`,
      );
    }
    return path;
  }
  if (searched.length === 0) throw invalidConfig("no paths provided");
  throw invalidConfig(
    `failed to find plugin ${quote(type)} in path [${searched.join(" ")}]${problems.join("")}`,
  );
}

/** The executable of {@link findPlugin}; it may be executed. Throws 7. */
export function requirePlugin(
  type: string,
  directories: readonly string[],
  self?: string,
): void {
  const path = findPlugin(type, directories, self);
  try {
    requireExecutable(path);
  } catch (cause) {
    throw invalidConfig(
      `failed to execute plugin ${quote(type)}: ${path}: ${messageOf(cause)}`,
      cause,
    );
  }
}

/** Throws 11 when no time is left. */
function execRequest(path: string, call: Call, caller: Caller): ExecRequest {
  // No start without time left: a process could change something before it is killed
  // (state.md "Time").
  if (call.deadline.expired)
    throw new CniError(Code.tryAgainLater, "not started: no time is left");
  return {
    path,
    env: environment(call, caller),
    stdin: call.config,
    deadline: call.deadline.atMost(caller.timeoutMs),
    inherit: caller.inherit,
    scratch: caller.scratch,
    started: caller.started,
  };
}

/** Few executables are busy. */
async function executeAgain(
  path: string,
  error: unknown,
  call: Call,
  caller: Caller,
): Promise<ExecResult> {
  const { executeAgain: again } = await import("./busy-executable.ts");
  const { deadline } = call;
  const next = () => execRequest(path, call, caller);
  return again({ path, deadline }, error, next, caller);
}

/** The value of `containerVariable` for the verbs without a container. */
export const noContainer = "-";

/** Our environment with CNI_* replaced and no name twice (F-2). */
function environment(call: Call, caller: Caller): Record<string, string> {
  const { containerId, netns, ifname, args, path } = call.runtime;
  const inherited: Record<string, string> = {};
  for (const [name, value] of Object.entries(caller.env)) {
    if (value !== undefined) setOwn(inherited, name, value);
    // Bun has no value for a name that is not UTF-8; `exec` reads it from the kernel.
    else if (name.includes("\ufffd")) inherited[name] = "";
  }
  return {
    ...inherited,
    CNI_COMMAND: call.verb,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns,
    CNI_IFNAME: ifname,
    CNI_ARGS: args,
    CNI_PATH: joinedDirectories(path),
    ...(caller.containerVariable !== undefined && {
      [caller.containerVariable]: containerId || noContainer,
    }),
  };
}

function joinedDirectories(path: readonly string[]): string {
  let joined = "";
  for (const directory of path) {
    if (directory !== "") joined += joined === "" ? directory : `:${directory}`;
  }
  return joined;
}
