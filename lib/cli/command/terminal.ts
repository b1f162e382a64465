/**
 * The process as a command sees it: environment and output. {@link realTerminal} is
 * the real one; tests have their own.
 */
import { isatty } from "node:tty";
import { messageOf } from "../../linux/errno.ts";
import { writeStderr, writeStdout } from "../../linux/stdio.ts";
import { printable } from "./output.ts";
import type { Env } from "../../cni/environment.ts";

/** Values that only the entry knows. */
export interface Process {
  version: string;
  env: Env;
  /** Called as `kubectl genie`: there is no node here. */
  isKubectl?: boolean;
}

export interface Terminal extends Process {
  stdout(text: string): Promise<void>;
  stderr(text: string): void;
  /** Shows the state of long work in a line. The next call replaces it, or erases it if it has no text. Does nothing in a pipe. */
  progress(text?: string): void;
  /** Whether stdout is a terminal, for colours. */
  colour: boolean;
  /** This executable, which `install` copies. */
  self: string;
  /** The effective user; 0 is root. */
  uid: number;
  /** Resolves early when the process must end; `stopped` is then true. */
  sleep(ms: number): Promise<void>;
  stopped(): boolean;
  now(): Date;
}

/** The real streams; NO_COLOR is the convention of no-color.org. */
export function realTerminal(given: Process): Terminal {
  const { env } = given;
  return {
    ...given,
    stdout: async (text) => {
      try {
        writeStdout(text);
      } catch (cause) {
        throw new Error(`failed to write to stdout: ${messageOf(cause)}`, {
          cause,
        });
      }
    },
    stderr: (text) => writeStderr(printable(text)),
    progress: isatty(2) && env["TERM"] !== "dumb" ? showProgress : () => {},
    colour: isatty(1) && !env["NO_COLOR"] && env["TERM"] !== "dumb",
    self: "/proc/self/exe",
    uid: process.geteuid?.() ?? 0,
    ...stoppable(),
    now: () => new Date(),
  };
}

/** Returns to the beginning of the line and erases it. */
function showProgress(text = ""): void {
  writeStderr(`\r\u001b[K${text}`);
}

/**
 * SIGTERM needs a handler: the first process of a container gets no unhandled
 * signal, and the kubelet would wait for its whole grace period.
 */
function stoppable(): Pick<Terminal, "sleep" | "stopped"> {
  let ending: Promise<void> | undefined;
  let stopped = false;
  const listen = (): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.once(signal, () => {
        stopped = true;
        resolve();
      });
    }
    return promise;
  };
  return {
    sleep: async (ms) => {
      ending ??= listen();
      await Promise.race([Bun.sleep(ms), ending]);
    },
    stopped: () => stopped,
  };
}
