/**
 * Runs one credential plugin process. A delegate is run by `lib/cni/exec`, which
 * has no arguments to give; the two share the idea: an own session, killed with
 * its group at the deadline, output on anonymous files because a grandchild that
 * keeps a pipe open would delay us until it ends.
 */
import { closeSync, fstatSync, readSync } from "node:fs";
import type { Deadline } from "../cni/deadline.ts";
import { anonymousFile } from "../cni/libc.ts";

export interface ProcessRequest {
  /** The absolute path and the arguments. */
  cmd: readonly [string, ...string[]];
  env: Readonly<Record<string, string>>;
  deadline: Deadline;
}

export interface ProcessResult {
  /** null when a signal ended it. */
  exitCode: number | null;
  stdout: string;
  stderr: string;
  timedOut: boolean;
}

/** Throws what the spawn throws, with its errno in `code`. */
export type RunProcess = (request: ProcessRequest) => Promise<ProcessResult>;

/** Bytes of each output that are read; a credential is a few thousand. */
const outputLimit = 1 << 20;

export const runProcess: RunProcess = async ({ cmd, env, deadline }) => {
  const stdout = anonymousFile("stdout");
  const stderr = anonymousFile("stderr");
  try {
    const child = Bun.spawn({
      cmd: [...cmd],
      env: { ...env },
      stdio: ["ignore", stdout, stderr],
      detached: true,
    });
    const timedOut = await endOf(child, deadline);
    return {
      exitCode: child.exitCode,
      stdout: contents(stdout),
      stderr: contents(stderr),
      timedOut,
    };
  } finally {
    closeSync(stdout);
    closeSync(stderr);
  }
};

/** A killed process that is stuck in the kernel is not waited for longer than this. */
const reapWithinMs = 500;

/** Whether the deadline ended it. */
async function endOf(
  child: Bun.Subprocess,
  deadline: Deadline,
): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<true>();
  const timer = setTimeout(() => resolve(true), deadline.remaining);
  try {
    const timedOut = await Promise.race([child.exited.then(() => false), late]);
    if (timedOut) {
      killGroup(child.pid);
      await Promise.race([child.exited, Bun.sleep(reapWithinMs)]);
    }
    return timedOut;
  } finally {
    clearTimeout(timer);
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // ESRCH: it has ended in the meantime.
  }
}

function contents(fd: number): string {
  const buffer = Buffer.allocUnsafe(Math.min(fstatSync(fd).size, outputLimit));
  let length = 0;
  while (length < buffer.length) {
    const count = readSync(fd, buffer, length, buffer.length - length, length);
    if (count === 0) break;
    length += count;
  }
  return buffer.toString("utf8", 0, length);
}
