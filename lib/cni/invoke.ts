/**
 * Calls one plugin: finds its executable, hands it the request, and turns
 * whatever happened into its decoded output or one `CniError`
 * (cni-runtime.md §2.5). The process itself is `exec`'s matter.
 */
import { type Deadline, monotonicMs } from "./deadline.ts";
import { Code, CniError, errnoOf, messageOf, quote } from "./error.ts";
import { type Exec, type ExecResult, outputLimits } from "./exec.ts";
import { statusIfAny } from "./files.ts";
import { isObject, parseJson, setOwn } from "./json.ts";
import { requireExecutable } from "./libc.ts";

/** The verbs that a runtime sends to a delegate. */
export type Verb = "ADD" | "DEL" | "CHECK" | "GC" | "STATUS" | "VERSION";

/** The CNI_* variables of one call; empty is unset (P-ENV-1). */
export interface CallEnvironment {
  containerId: string;
  netns: string;
  ifname: string;
  args: string;
  path: readonly string[];
}

/** How every call of one operation is made. */
export interface Caller {
  exec: Exec;
  /** Ours, to which CNI_* are added. */
  env: Readonly<Record<string, string | undefined>>;
  /** Descriptors that delegates inherit. */
  inherit: readonly number[];
  /** Called whenever a delegate was started. Must not throw. */
  started?: () => unknown;
  /** Called whenever an execution has ended, for a log. Must not throw. */
  executed?: ((execution: Execution) => void) | undefined;
  /** The most that one execution may take, in milliseconds. */
  timeoutMs: number;
  /** Where the delegates' own words go: our stderr. */
  stderr(text: string): void;
  sleep(ms: number): Promise<void>;
  /** `"device:inode"` of our own executable, which is never executed (selection.md §4). */
  self?: string | undefined;
}

export interface Call {
  verb: Verb;
  type: string;
  /** The name of the network that the plugin is executed for; VERSION has none. */
  network?: string;
  config: string;
  environment: CallEnvironment;
  deadline: Deadline;
}

/** One execution, as it ended. */
export interface Execution {
  call: Call;
  ms: number;
  /** Everything that the plugin wrote there. */
  stderr: string;
  /** What `invoke` returned, of an execution that succeeded. */
  output?: unknown;
  /** What it threw, of one that failed. */
  error?: CniError;
}

/**
 * Executes a plugin and returns what it printed, decoded, when it succeeded;
 * only ADD and VERSION print something that counts (F-6).
 *
 * Throws the plugin's own error with its code; 7 when the executable is missing
 * or cannot be executed; 11 for the time limit and "text file busy"; 999 for
 * everything that is no CNI answer.
 */
export async function invoke(call: Call, caller: Caller): Promise<unknown> {
  const path = findPlugin(call.type, call.environment.path, caller.self);
  const { executed } = caller;
  const began = executed ? monotonicMs() : 0;
  let stderr = "";
  let output: unknown;
  try {
    const result = await execute(path, call, caller);
    ({ stderr } = result);
    if (stderr !== "") caller.stderr(stderr);
    output = outputOf(call, result);
  } catch (cause) {
    const error = CniError.from(cause);
    executed?.({ call, ms: monotonicMs() - began, stderr, error });
    throw error;
  }
  executed?.({ call, ms: monotonicMs() - began, stderr, output });
  return output;
}

function outputOf(call: Call, result: ExecResult): unknown {
  if (result.killed) throw killedError(call, result.killed);
  if (result.exitCode !== 0) throw failure(call.type, result);
  return call.verb === "ADD" || call.verb === "VERSION"
    ? decode(call.type, result.stdout)
    : undefined;
}

/**
 * The first regular file of that name in the folders; symbolic links are
 * followed (F-1). Throws 7, also when the file is this very program.
 */
export function findPlugin(
  type: string,
  folders: readonly string[],
  self?: string,
): string {
  if (type === "")
    throw new CniError(Code.invalidNetworkConfig, "no plugin name provided");
  if (type.includes("/")) {
    throw new CniError(
      Code.invalidNetworkConfig,
      `invalid plugin name: ${quote(type)}`,
    );
  }
  const searched: string[] = [];
  for (const folder of folders) {
    if (folder === "") continue;
    searched.push(folder);
    const path = `${folder}/${type}`;
    const file = statusIfAny(path);
    if (file?.kind !== "file") continue;
    if (file.id === self) {
      throw new CniError(
        Code.invalidNetworkConfig,
        `refusing to execute plugin ${quote(type)}: ${path} is this plugin itself`,
      );
    }
    return path;
  }
  if (searched.length === 0)
    throw new CniError(Code.invalidNetworkConfig, "no paths provided");
  throw new CniError(
    Code.invalidNetworkConfig,
    `failed to find plugin ${quote(type)} in path [${searched.join(" ")}]`,
  );
}

/** The executable as by {@link findPlugin}, and that it may be executed. Throws 7. */
export function requirePlugin(
  type: string,
  folders: readonly string[],
  self?: string,
): void {
  const path = findPlugin(type, folders, self);
  try {
    requireExecutable(path);
  } catch (cause) {
    throw new CniError(
      Code.invalidNetworkConfig,
      `failed to execute plugin ${quote(type)}: ${path}: permission denied`,
      { cause },
    );
  }
}

const busyTries = 6;
const busyPauseMs = 1000;

/** A binary that is being replaced is "busy" for a moment: a fresh process for each try (F-7). */
async function execute(
  path: string,
  call: Call,
  caller: Caller,
): Promise<ExecResult> {
  const request = {
    path,
    env: environment(call, caller),
    stdin: call.config,
    inherit: caller.inherit,
    started: caller.started,
  };
  for (let tries = 1; ; tries++) {
    try {
      const deadline = call.deadline.atMost(caller.timeoutMs);
      return await caller.exec({ ...request, deadline });
    } catch (error) {
      if (errnoOf(error) !== "ETXTBSY")
        throw spawnError(call.type, path, error);
      if (tries === busyTries || call.deadline.remaining <= busyPauseMs) {
        throw new CniError(
          Code.tryAgainLater,
          `failed to execute plugin ${quote(call.type)}: ${path}: text file busy`,
          { cause: error },
        );
      }
      await caller.sleep(busyPauseMs);
    }
  }
}

/** GENIE_CONTAINER of the verbs without a container. */
export const noContainer = "-";

/** Our environment with CNI_* replaced, nothing twice; everything else passes through (F-2). */
function environment(call: Call, caller: Caller): Record<string, string> {
  const { containerId, netns, ifname, args, path } = call.environment;
  const inherited: Record<string, string> = {};
  for (const [name, value] of Object.entries(caller.env)) {
    if (value !== undefined) setOwn(inherited, name, value);
  }
  return {
    ...inherited,
    CNI_COMMAND: call.verb,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns,
    CNI_IFNAME: ifname,
    CNI_ARGS: args,
    CNI_PATH: joinedFolders(path),
    // A meta-plugin that would call us again is told by it (selection.md §4).
    GENIE_CONTAINER: containerId || noContainer,
  };
}

function joinedFolders(path: readonly string[]): string {
  let joined = "";
  for (const folder of path) {
    if (folder !== "") joined += joined === "" ? folder : `:${folder}`;
  }
  return joined;
}

/** undefined for what the system says well enough. */
function errnoText(errno = ""): string | undefined {
  switch (errno) {
    case "E2BIG":
      return "argument list too long";
    case "EACCES":
      return "permission denied";
    case "ENOENT":
      return "no such file or interpreter";
    case "ENOEXEC":
      return "exec format error";
    default:
      return undefined;
  }
}

function isNotExecutable(errno: string): boolean {
  switch (errno) {
    case "EACCES":
    case "EPERM":
    case "ENOENT":
    case "ENOEXEC":
    case "ENOTDIR":
    case "EISDIR":
    case "ELOOP":
    case "E2BIG":
      return true;
    default:
      return false;
  }
}

function spawnError(type: string, path: string, cause: unknown): CniError {
  const errno = errnoOf(cause);
  const known = errno !== undefined && isNotExecutable(errno);
  const text = errnoText(errno) ?? messageOf(cause);
  return new CniError(
    known ? Code.invalidNetworkConfig : Code.internal,
    `failed to execute plugin ${quote(type)}: ${path}: ${text}`,
    { cause },
  );
}

function killedError(
  call: Call,
  killed: NonNullable<ExecResult["killed"]>,
): CniError {
  return new CniError(
    killed === "deadline" ? Code.tryAgainLater : Code.internal,
    `plugin ${quote(call.type)} ${killReason(killed)} and was killed (${call.verb})`,
  );
}

function killReason(killed: NonNullable<ExecResult["killed"]>): string {
  switch (killed) {
    case "deadline":
      return "did not end within its time limit";
    case "stdout":
      return `printed more than ${outputLimits.stdout >> 20} MiB`;
    case "stderr":
      break;
  }
  return `wrote more than ${outputLimits.stderr >> 20} MiB to stderr`;
}

/** What an unsuccessful plugin meant (F-5). */
function failure(type: string, result: ExecResult): CniError {
  const status = result.signal
    ? `signal: ${signalName(result.signal)}`
    : `exit status ${result.exitCode}`;
  const stdout = result.stdout.trim();
  const stderr = result.stderr.trim();
  const plugin = `plugin ${quote(type)}`;
  if (stdout === "") {
    return new CniError(
      Code.internal,
      stderr === ""
        ? `${plugin}: netplugin failed with no error message: ${status}`
        : `${plugin}: netplugin failed: ${quote(stderr)}: ${status}`,
    );
  }
  let decoded: unknown;
  try {
    decoded = parseJson(stdout);
  } catch (cause) {
    return new CniError(
      Code.internal,
      `${plugin}: netplugin failed but error parsing its diagnostic message ${quote(stdout)}: ${messageOf(cause)}`,
      { cause },
    );
  }
  const raw = `${plugin}: netplugin failed: ${quote(stdout)}: ${status}`;
  return errorObject(decoded, raw) ?? new CniError(Code.internal, raw);
}

/**
 * Upstream turns every JSON object into an error, one without a message into an
 * empty one (F-5): `raw` says more.
 */
function errorObject(value: unknown, raw: string): CniError | undefined {
  if (!isObject(value)) return undefined;
  const { code, msg, details } = value;
  return new CniError(
    // An unsigned integer in upstream: anything else makes the whole error unreadable.
    Number.isSafeInteger(code) && Number(code) > 0
      ? Number(code)
      : Code.internal,
    typeof msg === "string" && msg !== "" ? msg : raw,
    { details: typeof details === "string" ? details : undefined },
  );
}

/** Go's words for the common ones, the name for the others. */
function signalName(signal: string): string {
  switch (signal) {
    case "SIGKILL":
      return "killed";
    case "SIGSEGV":
      return "segmentation fault";
    case "SIGTERM":
      return "terminated";
    default:
      return signal;
  }
}

function decode(type: string, stdout: string): unknown {
  try {
    return parseJson(stdout);
  } catch (cause) {
    throw new CniError(
      Code.internal,
      `plugin ${quote(type)}: failed to unmarshal raw result: ${messageOf(cause)}`,
      { details: stdout === "" ? undefined : quote(stdout), cause },
    );
  }
}
