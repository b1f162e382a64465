/**
 * Calls a CNI plugin as a container runtime does: the request in the environment
 * and on stdin, the response on stdout, which must be one JSON value or nothing
 * (cni-plugin.md P-ERR-3).
 */

export interface PluginCall {
  binary: string;
  /** CNI_* and other variables of the runtime; only PATH is added. */
  env: Readonly<Record<string, string>>;
  /** The network configuration; a text is passed as it is. */
  config: unknown;
  /** Default: `/`, as under systemd. */
  cwd?: string;
}

export interface Answer extends Output {
  /** The decoded stdout; undefined when it was empty. */
  json: unknown;
}

/** Longer than any call of a test. */
const limitMs = 60_000;

/** Throws Error for a stdout that is no single JSON value, and for a plugin that does not end. */
export async function callPlugin(call: PluginCall): Promise<Answer> {
  const ended = await outputOf(startPlugin(call));
  return { ...ended, json: onlyValue(ended.stdout) };
}

/** Starts the call and does not wait for its end. */
export function startPlugin({ binary, env, config, cwd }: PluginCall) {
  const stdin = typeof config === "string" ? config : JSON.stringify(config);
  return start([binary], {
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdin,
    ...(cwd !== undefined && { cwd }),
  });
}

export interface RunOptions {
  /** The whole environment; default: empty. */
  env?: Readonly<Record<string, string>>;
  /** Default: `/`, as under systemd. */
  cwd?: string;
  stdin?: string;
}

/** Runs a command to its end. Throws Error when a signal ends it. */
export function run(
  cmd: readonly string[],
  options?: RunOptions,
): Promise<Output> {
  return outputOf(start(cmd, options));
}

/** The stdout of a command of the system. Throws Error with its stderr if it fails. */
export async function stdoutOf(cmd: readonly string[]): Promise<string> {
  const env = { PATH: process.env["PATH"] ?? "" };
  const { exitCode, stdout, stderr } = await run(cmd, { env });
  if (exitCode === 0) return stdout;
  throw new Error(
    `failed to run ${cmd.join(" ")}: exit code ${exitCode}: ${stderr.trim()}`,
  );
}

export interface Output {
  exitCode: number;
  stdout: string;
  stderr: string;
}

function start(
  cmd: readonly string[],
  { env = {}, cwd = "/", stdin = "" }: RunOptions = {},
) {
  return Bun.spawn({
    cmd: [...cmd],
    env,
    cwd,
    stdin: new Blob([stdin]),
    stdout: "pipe",
    stderr: "pipe",
    timeout: limitMs,
    killSignal: "SIGKILL",
  });
}

async function outputOf(child: ReturnType<typeof start>): Promise<Output> {
  const [stdout, stderr, exitCode] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  if (child.signalCode !== null)
    throw new Error(`a program was ended by ${child.signalCode}: ${stderr}`);
  return { exitCode, stdout, stderr };
}

/** Decodes a response. Throws Error for anything but one JSON value. */
export function onlyValue(stdout: string): unknown {
  if (stdout === "") return undefined;
  try {
    return JSON.parse(stdout);
  } catch (cause) {
    throw new Error(
      `expected one JSON value on stdout, got ${JSON.stringify(stdout)}`,
      { cause },
    );
  }
}
