/**
 * The process as a command sees it: environment and output. {@link realTerminal} is
 * the real one; tests have their own. Text in columns, and ages as kubectl shows them.
 */
import { readFileSync } from "node:fs";
import { isatty } from "node:tty";
import { SystemError, errnoOf } from "../../linux/errno.ts";
import { readStdin, writeStderr, writeStdout } from "../../linux/stdio.ts";

export type Env = Readonly<Record<string, string | undefined>>;

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
  /** Shows what takes long, in one line that the next one replaces; without a text it goes. Quiet in a pipe. */
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
    stdout: writeStdout,
    stderr: writeStderr,
    progress: isatty(2) && env["TERM"] !== "dumb" ? showProgress : () => {},
    colour: isatty(1) && !env["NO_COLOR"] && env["TERM"] !== "dumb",
    self: "/proc/self/exe",
    uid: process.geteuid?.() ?? 0,
    ...stoppable(),
    now: () => new Date(),
  };
}

/** Returns to the begin of the line and erases it. */
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

/** The text of a file, - for stdin. Also reads a pipe, such as `<(…)` of a shell. */
export function contentOf(file: string): string {
  if (file === "-") return new TextDecoder().decode(readStdin());
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const errno = errnoOf(cause);
    throw errno === undefined ? cause : new SystemError(errno);
  }
}

/** Lines of aligned columns with two blanks between them and none at the end. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries())
      widths[i] = Math.max(widths[i] ?? 0, Bun.stringWidth(cell));
  }
  return rows.map((row) => `${line(row, widths)}\n`).join("");
}

function line(row: readonly string[], widths: readonly number[]): string {
  return row
    .map(
      (cell, i) => cell + " ".repeat((widths[i] ?? 0) - Bun.stringWidth(cell)),
    )
    .join("  ")
    .trimEnd();
}

const units = [
  ["d", 86_400],
  ["h", 3600],
  ["m", 60],
  ["s", 1],
] as const;

/** The age in the largest unit that fits, as kubectl shows it. */
export function age(time: string, now: Date): string {
  const seconds = Math.max(0, (now.getTime() - Date.parse(time)) / 1000);
  const [unit, size] =
    units.find(([, length]) => seconds >= length) ?? units[3];
  return Number.isNaN(seconds) ? "-" : `${Math.floor(seconds / size)}${unit}`;
}
