/**
 * Runs a command to its end.
 */

/** The outcome of a command. */
export interface Ended {
  exitCode: number;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  env?: Readonly<Record<string, string>>;
  stdin?: string;
  cwd?: string;
  seconds?: number;
}

/** Its stdout. Throws Error with its stderr. */
export async function run(
  cmd: string[],
  options: RunOptions = {},
): Promise<string> {
  const { exitCode, stdout, stderr } = await attempt(cmd, options);
  if (exitCode === 0) return stdout;
  const said = (stderr.trim() || stdout.trim()).slice(-4000);
  throw new Error(
    `failed to run ${cmd.join(" ")}: exit code ${exitCode}: ${said}`,
  );
}

/** However it ends; 137 when it had to be killed. */
export async function attempt(
  cmd: string[],
  { env, stdin, cwd, seconds = 120 }: RunOptions = {},
): Promise<Ended> {
  const child = Bun.spawn({
    cmd,
    ...(cwd !== undefined && { cwd }),
    env: { ...process.env, ...env },
    stdin: stdin === undefined ? "ignore" : new Blob([stdin]),
    stdout: "pipe",
    stderr: "pipe",
    timeout: seconds * 1000,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
  ]);
  const code = await child.exited;
  return { exitCode: child.signalCode === null ? code : 137, stdout, stderr };
}
