/**
 * The log: one line an event, to our stderr or to `logFile`. The only module
 * that writes it. No secret is ever given to it: no token, key, kubeconfig text
 * or whole stdin (configuration.md).
 */
import { messageOf } from "../cni/error.ts";
import { writeAll } from "../cni/files.ts";
import { Open, close, open } from "../cni/libc.ts";

const levels = ["error", "warn", "info", "debug"] as const;

export type Level = (typeof levels)[number];

export type Log = Record<
  Level,
  (message: string, fields?: Readonly<Record<string, unknown>>) => void
>;

/** Lines of text to `stderr`; with a file, JSON lines appended there instead. */
export function createLog(
  level: string,
  file: string | undefined,
  stderr: (text: string) => void,
  now: () => Date = () => new Date(),
): Log {
  const threshold = levels.indexOf(levelOf(level));
  const write = file === undefined ? stderr : appender(file, stderr);
  const line = (
    name: Level,
    message: string,
    fields: Readonly<Record<string, unknown>> = {},
  ) =>
    file === undefined
      ? `genie: ${name}: ${message}${suffix(fields)}\n`
      : `${JSON.stringify({ time: now().toISOString(), level: name, msg: message, ...fields })}\n`;
  const at = (name: Level): Log[Level] => {
    if (levels.indexOf(name) > threshold) return () => {};
    return (message, fields) => write(line(name, message, fields));
  };
  return {
    error: at("error"),
    warn: at("warn"),
    info: at("info"),
    debug: at("debug"),
  };
}

/** CNI-Genie's samples spell levels in several ways; an unknown one is the default. */
function levelOf(text: string): Level {
  const name = text.toLowerCase();
  for (const level of levels) if (name.startsWith(level)) return level;
  return "warn";
}

function suffix(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .map(([key, value]) => ` ${key}=${JSON.stringify(value)}`)
    .join("");
}

/** Non-blocking: a named pipe without a reader must not hold up a pod. */
const appending = Open.writeOnly | Open.create | Open.append | Open.nonBlocking;

/** Opened for each line: lines are rare, and a rotated file is followed. */
function appender(
  file: string,
  stderr: (text: string) => void,
): (text: string) => void {
  return (text) => {
    try {
      const fd = open(file, appending, 0o600);
      try {
        writeAll(fd, text);
      } finally {
        close(fd);
      }
    } catch (error) {
      stderr(`genie: failed to write logFile: ${messageOf(error)}\n${text}`);
    }
  };
}
