/**
 * Calls a CNI plugin as a container runtime does: the request in the environment
 * and on stdin, the answer on stdout. It holds every answer to what a runtime
 * can stand: one JSON value or nothing (cni-plugin.md P-ERR-3).
 */

export interface PluginCall {
  binary: string;
  /** CNI_* and whatever else the runtime has; nothing of our own environment is added but PATH. */
  env: Readonly<Record<string, string>>;
  /** The network configuration; a text is passed as it is. */
  config: unknown;
  /** Default: `/`, as under systemd. */
  cwd?: string;
}

export interface Answer {
  exitCode: number;
  /** The decoded stdout; undefined when it was empty. */
  json: unknown;
  stdout: string;
  stderr: string;
}

/** Longer than anything that genie may take here, shorter than for ever. */
const limitMs = 60_000;

/** Throws Error for a stdout that is no single JSON value, and for a plugin that does not end. */
export async function callPlugin(call: PluginCall): Promise<Answer> {
  const child = startPlugin(call);
  const [stdout, stderr, exitCode] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  const signal = child.signalCode;
  if (signal !== null)
    throw new Error(`${call.binary} was ended by ${signal}: ${stderr}`);
  return { exitCode, json: onlyValue(stdout), stdout, stderr };
}

/** The same, not waited for. */
export function startPlugin({ binary, env, config, cwd = "/" }: PluginCall) {
  const text = typeof config === "string" ? config : JSON.stringify(config);
  return Bun.spawn({
    cmd: [binary],
    env: { PATH: process.env["PATH"] ?? "", ...env },
    cwd,
    stdin: new Blob([text]),
    stdout: "pipe",
    stderr: "pipe",
    timeout: limitMs,
    killSignal: "SIGKILL",
  });
}

/** Decodes an answer. Throws Error for two values, for a rest of garbage. */
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
