/**
 * Executes a delegate or a credential plugin: in its own session, with output in
 * anonymous files, and with a time limit after which the whole process group is
 * killed. It knows nothing of CNI; `invoke` reads the output.
 *
 * Files, not pipes: a grandchild that keeps a pipe open would delay us until it
 * ends (cni-runtime.md F-8, state.md "Processes and locks").
 */
import type { Deadline } from "./deadline.ts";
import { errnoOf } from "./errno.ts";
import { Open, close, open, readAt, removeFile, status } from "./file-calls.ts";
import { makeDirectory } from "./files.ts";
import { SYS, cString, call, checked, readable, ready } from "./libc.ts";
import { bytesOf, textOf } from "./text.ts";

export interface ExecRequest {
  /** Absolute path of the executable. */
  path: string;
  /** Empty for CNI plugins; credential plugins may have arguments. */
  args?: readonly string[];
  /**
   * The environment. Variables of ours that are not UTF-8 are passed with their
   * bytes; a name that is not UTF-8 has an empty value here.
   */
  env: Record<string, string>;
  stdin: string;
  deadline: Deadline;
  /** Descriptors that the delegate inherits as 3, 4, …: the container's lock. */
  inherit: readonly number[];
  /** The directory of output files if the kernel has no file in memory; default: `/tmp`. */
  scratch?: string | undefined;
  /** Called after the start, for work that overlaps the delegate. Must not throw. */
  started?: (() => unknown) | undefined;
  /** Runs the start of the process: in another mount namespace. */
  enter?: (<T>(start: () => T) => T) | undefined;
}

export interface ExecResult {
  /** null if a signal ended it. */
  exitCode: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
  /** Why we killed it; undefined if we did not. */
  killed?: "deadline" | "stdout" | "stderr";
}

/** Throws the error of the spawn, with its errno in `code`: ENOENT, EACCES, ENOEXEC, ETXTBSY… */
export type Exec = (request: ExecRequest) => Promise<ExecResult>;

/** Bytes of output after which a delegate is killed (state.md "Time"). */
export const outputLimits = { stdout: 4 << 20, stderr: 1 << 20 } as const;

/**
 * Milliseconds between two measurements of a running delegate's output; a quick
 * delegate has none.
 */
const measureEveryMs = 20;

/** Milliseconds to wait for a killed process that is stuck in the kernel. */
const reapWithinMs = 2000;

export const execDelegate: Exec = async (request) => {
  const directory = request.scratch ?? "/tmp";
  const stdout = openOutput(directory);
  const stderr = openOutput(directory);
  const output = { stdout, stderr };
  try {
    reportEndOfChildren();
    const isRaw = request.enter !== undefined || mayBeRaw(request.env);
    const raw = isRaw && (await spawnRaw(request, output));
    const child: Child =
      raw ||
      Bun.spawn({
        cmd: [request.path, ...(request.args ?? [])],
        env: request.env,
        stdio: [bytesOf(request.stdin), stdout, stderr, ...request.inherit],
        detached: true,
      });
    request.started?.();
    // Fast path: most delegates end before a timer would help, and timers cost time.
    const quick = request.deadline.atMost(measureEveryMs).remaining;
    let killed: ExecResult["killed"];
    if (endsWithin(child.pid, quick)) {
      // With a timer that is due, the event loop polls for the child's end; parking it
      // would start a thread.
      void Bun.sleep(0);
      await child.exited;
      killed = tooLarge(output);
    } else killed = await watched(child, request, output);
    if (killed) {
      killGroup(child.pid);
      await Promise.race([child.exited, Bun.sleep(reapWithinMs)]);
    }
    return {
      exitCode: child.exitCode,
      signal: child.signalCode === null ? null : String(child.signalCode),
      stdout: outputText(stdout, outputLimits.stdout),
      stderr: outputText(stderr, outputLimits.stderr),
      ...(killed && { killed }),
    };
  } finally {
    close(stdout);
    close(stderr);
  }
};

let reportsEndOfChildren = false;

/**
 * If we were started with SIGCHLD ignored, the kernel would report no child's end. Once:
 * without pidfd_open, the engine handles SIGCHLD from its first child on.
 */
function reportEndOfChildren(): void {
  if (reportsEndOfChildren) return;
  checked(call(SYS.rt_sigaction, SIGCHLD, defaultAction, 0, 8));
  reportsEndOfChildren = true;
}

/** A process that was started. */
interface Child {
  readonly pid: number;
  readonly exited: Promise<unknown>;
  readonly exitCode: number | null;
  readonly signalCode: string | number | null;
}

/**
 * Passes the environment as bytes, which `Bun.spawn` cannot do; undefined if all of
 * it is UTF-8.
 */
async function spawnRaw(
  request: ExecRequest,
  { stdout, stderr }: Output,
): Promise<Child | undefined> {
  const raw = await import("./spawn.ts");
  const { env, enter } = request;
  const environment = raw.rawEnvironment(env, enter !== undefined);
  if (!environment) return undefined;
  const stdin = openOutput(request.scratch ?? "/tmp");
  try {
    const descriptors = [stdin, stdout, stderr, ...request.inherit] as const;
    const start = () => raw.spawnRaw(request, environment, descriptors);
    return enter ? enter(start) : start();
  } finally {
    close(stdin);
  }
}

/** Whether the environment may contain anything but UTF-8, which a text shows as U+FFFD. */
function mayBeRaw(env: ExecRequest["env"]): boolean {
  for (const [name, value] of Object.entries(env)) {
    if (name.includes("\ufffd") || value.includes("\ufffd")) return true;
  }
  return false;
}

type Output = Record<keyof typeof outputLimits, number>;

/** The reason to kill the child; undefined if it ended by itself. */
async function watched(
  child: Child,
  { deadline }: ExecRequest,
  output: Output,
): Promise<ExecResult["killed"]> {
  const { promise: verdict, resolve } =
    Promise.withResolvers<ExecResult["killed"]>();
  const timer = setTimeout(() => resolve("deadline"), deadline.remaining);
  const measure = setInterval(
    () => stopWhenTooLarge(output, resolve),
    measureEveryMs,
  );
  try {
    return await Promise.race([
      child.exited.then(() => tooLarge(output)),
      verdict,
    ]);
  } finally {
    clearTimeout(timer);
    clearInterval(measure);
  }
}

function stopWhenTooLarge(
  output: Output,
  resolve: (killed: ExecResult["killed"]) => void,
) {
  const killed = tooLarge(output);
  if (killed) resolve(killed);
}

function tooLarge(output: Output): ExecResult["killed"] {
  if (status(output.stdout).size > outputLimits.stdout) return "stdout";
  if (status(output.stderr).size > outputLimits.stderr) return "stderr";
  return undefined;
}

/** The process may have ended by itself meanwhile. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // ESRCH: the group is gone.
  }
}

/**
 * The descriptor of an anonymous file for a process's stdout or stderr: in memory,
 * or on the disk below `directory` if the kernel or a policy allows no such file.
 * Append-only: a shell plugin's `> /dev/stderr` truncates it, and later output must
 * not begin after a gap of NUL bytes. Throws SystemError.
 */
export function openOutput(directory: string): number {
  const fd = call(SYS.memfd_create, cString("output"), MFD_CLOEXEC);
  const isDenied = fd === -ENOSYS || fd === -EPERM || fd === -EACCES;
  if (isDenied) return unnamedFile(directory);
  checked(fd);
  // Every later write, by any process that inherits it, goes to the end of the file.
  checked(call(SYS.fcntl, fd, F_SETFL, Open.append));
  return fd;
}

/** The first `limit` bytes; invalid UTF-8 becomes U+FFFD. */
function outputText(fd: number, limit: number): string {
  const { size } = status(fd);
  const buffer = new Uint8Array(size < limit ? size : limit);
  let length = 0;
  while (length < buffer.length) {
    const count = readAt(fd, buffer.subarray(length), length);
    if (count === 0) break;
    length += count;
  }
  return textOf(buffer.subarray(0, length));
}

/** An unpredictable name, removed before this returns. */
function unnamedFile(directory: string): number {
  const path = `${directory}/.output-${crypto.randomUUID()}`;
  const flags =
    Open.readWrite | Open.append | Open.create | Open.exclusive | Open.noFollow;
  let fd: number;
  try {
    fd = open(path, flags, 0o600);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    makeDirectory(directory, 0o700);
    fd = open(path, flags, 0o600);
  }
  removeFile(path);
  return fd;
}

const MFD_CLOEXEC = 1;
const F_SETFL = 4;
const SIGCHLD = 17;

const EPERM = 1;
const EACCES = 13;
const ENOSYS = 38;

/** struct sigaction of the kernel: SIG_DFL, no flags. */
const defaultAction = new Uint32Array(8);

/**
 * Waits at most `ms` milliseconds for the end of a child. False after the time, and
 * if the kernel cannot tell.
 */
function endsWithin(pid: number, ms: number): boolean {
  const fd = call(SYS.pidfd_open, pid);
  if (fd < 0) return false;
  try {
    return ready(fd, readable, ms);
  } finally {
    close(fd);
  }
}
