/**
 * The failure of a plugin as one `CniError` (cni-runtime.md §2.5 F-5 to F-7). It
 * executes nothing.
 */
import { Code, CniError } from "./error.ts";
import { errnoOf, messageOf, SystemError } from "../linux/errno.ts";
import { plain, quote, quoteOutput } from "../linux/text.ts";
import { type ExecResult, outputLimits } from "../linux/exec.ts";
import { goField, isObject, JsonError, own, parseJson } from "./json.ts";

/** The cause of the error of a killed process, under any outer error. */
export class ProcessKilled extends Error {}

/**
 * The cause of the error of a file that the kernel does not execute, under any outer
 * error: nothing of it has run.
 */
export class NotExecutable extends Error {
  readonly path: string;

  constructor(path: string, cause: unknown) {
    super(messageOf(cause), { cause });
    this.path = path;
  }
}

/** The same error, with the plugin and the verb in its message (state.md "ADD"). */
export function ofCall(call: FailedCall, error: CniError): CniError {
  const { verb, type, runtime } = call;
  const failed = `plugin ${quote(type)} ${failures[verb](runtime.ifname)}`;
  const msg = `${failed}: ${error.message}${versionHint(call, error)}`;
  return new CniError(error.code, msg, {
    details: error.details,
    cause: error.cause,
  });
}

/** The part of a call that messages name. */
interface FailedCall {
  verb: keyof typeof failures;
  type: string;
  network?: string;
  config: string;
  runtime: { ifname: string };
}

const failures = {
  ADD: (ifname: string) => `failed to add ${plain(ifname)}`,
  DEL: (ifname: string) => `failed to delete ${plain(ifname)}`,
  CHECK: (ifname: string) => `failed to check ${plain(ifname)}`,
  GC: () => "failed to collect garbage",
  STATUS: () => "failed the status check",
  VERSION: () => "failed to report its versions",
};

/**
 * Whether a plugin is older than the `cniVersion` of its network's file, whose verbs
 * it does not know.
 */
function versionHint(call: FailedCall, error: CniError): string {
  if (call.network === undefined || !isOlder(call, error)) return "";
  const version = own(parseJson(call.config, Infinity), "cniVersion");
  return `: network ${quote(call.network)} has cniVersion ${quote(String(version))}, which the plugin does not support`;
}

/** By its message: before 1.2 the upstream library validated the container before the verb. */
function isOlder({ verb }: FailedCall, { message }: CniError): boolean {
  if (message === `unknown CNI_COMMAND: ${verb}`) return true;
  const hasNoContainer = verb === "GC" || verb === "STATUS";
  return hasNoContainer && message === "missing containerID";
}

/** The error of a plugin that could not be started; `cause` is the system's error. */
export function notStarted(path: string, cause: unknown): CniError {
  const errno = errnoOf(cause);
  const code = startCodes[errno ?? ""] ?? Code.internal;
  const isPermanent = code === Code.invalidNetworkConfig;
  return new CniError(
    code,
    `failed to execute ${path}: ${startText(errno) ?? messageOf(cause)}`,
    { cause: isPermanent ? new NotExecutable(path, cause) : cause },
  );
}

/**
 * 7: the file is not executable; 11: the node has no room for a process now (state.md
 * "Processes and locks").
 */
const startCodes: Readonly<Record<string, number>> = {
  E2BIG: Code.invalidNetworkConfig,
  EACCES: Code.invalidNetworkConfig,
  EINVAL: Code.invalidNetworkConfig,
  EISDIR: Code.invalidNetworkConfig,
  ELOOP: Code.invalidNetworkConfig,
  ENOENT: Code.invalidNetworkConfig,
  ENOEXEC: Code.invalidNetworkConfig,
  ENOTDIR: Code.invalidNetworkConfig,
  EPERM: Code.invalidNetworkConfig,
  EAGAIN: Code.tryAgainLater,
  EMFILE: Code.tryAgainLater,
  ENFILE: Code.tryAgainLater,
  ENOMEM: Code.tryAgainLater,
  ETXTBSY: Code.tryAgainLater,
};

/** The system's text for an errno without the caller's part; undefined for another errno. */
function startText(errno = ""): string | undefined {
  // The file exists: it was found before.
  if (errno === "ENOENT") return "no such file or interpreter";
  const text = new SystemError(errno).message;
  if (errno === "EAGAIN" || errno === "ENOMEM")
    return `the node has no room for another process: ${text}`;
  return text === errno ? undefined : text;
}

/** The error of a plugin that failed (F-5) or was killed. */
export function failure({ stdout, stderr, ...end }: ExecResult): CniError {
  if (end.killed) return killedError(end.killed, stderr);
  const status = end.signal
    ? `signal: ${signalName(end.signal)}`
    : `exit status ${end.exitCode}`;
  if (stdout.trim() === "") {
    return new CniError(
      Code.internal,
      stderr.trim() === ""
        ? `netplugin failed with no error message: ${status}`
        : `netplugin failed: ${quoteOutput(stderr)}: ${status}`,
    );
  }
  let decoded: unknown;
  try {
    decoded = parseJson(stdout);
  } catch (cause) {
    const problem = `netplugin failed but error parsing its diagnostic message ${quoteOutput(stdout)}: ${messageOf(cause)}: ${status}`;
    return lastError(stdout) ?? unspoken(problem, [stderrOf(stderr)], cause);
  }
  const raw = () =>
    unspoken(`netplugin failed: ${quoteOutput(stdout)}: ${status}`, [
      stderrOf(stderr),
    ]);
  // Upstream reads every object as an error without message (F-5).
  return isObject(decoded) ? spoken(decoded, raw) : raw();
}

/** The error of a plugin that succeeded but did not print exactly one JSON value (F-6). */
export function undecodable(
  { stdout, stderr }: ExecResult,
  cause: unknown,
): CniError {
  const isBlank = stdout.trim() === "";
  const reason = cause instanceof JsonError ? cause.reason : messageOf(cause);
  const problem = isBlank
    ? `it printed nothing (exit status 0): failed to unmarshal raw result: ${reason}`
    : `failed to unmarshal raw result: ${messageOf(cause)}`;
  const details = [isBlank ? "" : quoteOutput(stdout), stderrOf(stderr)];
  return lastError(stdout) ?? unspoken(problem, details, cause);
}

/**
 * The warning of a plugin that succeeded and printed an error, which libcni takes for an
 * empty result (F-6); undefined for any other output.
 */
export function printedError(
  { type }: Pick<FailedCall, "type">,
  { stdout }: Pick<ExecResult, "stdout">,
): string | undefined {
  const error = lastError(stdout);
  if (!error) return undefined;
  return `plugin ${quote(type)} succeeded, but printed an error with code ${error.code}: ${quoteOutput(error.message)}`;
}

/** Our own error for a plugin without one. */
function unspoken(
  message: string,
  details: readonly string[],
  cause?: unknown,
): CniError {
  const joined = details.filter((text) => text !== "").join("; ");
  return new CniError(Code.internal, message, { details: joined, cause });
}

function stderrOf(stderr: string): string {
  return stderr.trim() === "" ? "" : `stderr: ${quoteOutput(stderr)}`;
}

function killedError(
  killed: NonNullable<ExecResult["killed"]>,
  stderr: string,
): CniError {
  const cause = new ProcessKilled(killed);
  if (killed === "deadline") {
    return new CniError(
      Code.tryAgainLater,
      "it did not end within its time limit and was killed",
      { details: stderrOf(stderr), cause },
    );
  }
  const flood = killed === "stdout" ? "printed more than" : "wrote more than";
  const to = killed === "stdout" ? "" : " to stderr";
  const limit = `${outputLimits[killed] >> 20} MiB`;
  return new CniError(
    Code.internal,
    `it ${flood} ${limit}${to} and was killed`,
    { cause },
  );
}

/**
 * The plugin's own error; one without a message is completed by `raw`. Go programs read
 * its keys in any case.
 */
function spoken(value: unknown, raw: () => CniError): CniError {
  const given = goField(value, "code");
  const msg = goField(value, "msg");
  const details = detailsText(goField(value, "details"));
  // An unsigned integer in upstream: any other value makes the whole error unreadable.
  const isCode = Number.isSafeInteger(given) && Number(given) > 0;
  const code = isCode ? Number(given) : Code.internal;
  if (typeof msg === "string" && msg !== "")
    return new CniError(code, msg, { details });
  const { message, details: ofRaw } = raw();
  return new CniError(code, message, { details: details ?? ofRaw });
}

/** The words of a plugin are kept, also where they are no string as they should be. */
function detailsText(details: unknown): string | undefined {
  if (details === undefined || details === null) return undefined;
  return typeof details === "string" ? details : JSON.stringify(details);
}

/** The error at the end of a text, after a result or any other text; undefined without one. */
function lastError(text: string): CniError | undefined {
  const last = lastObject(text.trimEnd());
  if (last === undefined) return undefined;
  try {
    const value = parseJson(last);
    const isError =
      typeof goField(value, "code") === "number" &&
      typeof goField(value, "msg") === "string";
    return isError
      ? spoken(value, () => new CniError(Code.internal, quoteOutput(last)))
      : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The object at the end of a text, read backwards, each character once: the text
 * before it need not be JSON.
 */
function lastObject(text: string): string | undefined {
  if (!text.endsWith("}")) return undefined;
  let depth = 0;
  for (let at = text.length - 1; at >= 0; at--) {
    const char = text[at];
    if (char === '"') at = startOfString(text, at);
    else if (char === "}") depth++;
    else if (char === "{" && --depth === 0) return text.slice(at);
  }
  return undefined;
}

/** The quotation mark that begins a string; -1 for none. */
function startOfString(text: string, end: number): number {
  for (let at = end - 1; at >= 0; at--) {
    if (text[at] !== '"') continue;
    let first = at;
    while (text[first - 1] === "\\") first--;
    // After an odd number of backslashes it is part of the string.
    if ((at - first) % 2 === 0) return at;
    at = first;
  }
  return -1;
}

/** Go's texts for the common signals, the name for the others. */
function signalName(signal: string): string {
  const names: Record<string, string> = {
    SIGKILL: "killed",
    SIGSEGV: "segmentation fault",
    SIGTERM: "terminated",
  };
  return names[signal] ?? signal;
}
