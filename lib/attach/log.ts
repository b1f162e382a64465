/**
 * The log: one line for each event, to our stderr or to `logFile`
 * (configuration.md "log_level"). The only module that writes it. No secret is
 * ever given to it: no token, key, kubeconfig text or whole stdin.
 */
import { messageOf } from "../linux/errno.ts";
import { writeAll } from "../linux/files.ts";
import type { Execution } from "../cni/invoke.ts";
import { Open, close, open } from "../linux/libc.ts";
import { escapeControls } from "../linux/text.ts";

const levels = ["error", "warn", "info", "debug"] as const;

export type Level = (typeof levels)[number];

export type Fields = Readonly<Record<string, unknown>>;

export type Log = Record<Level, (message: string, fields?: Fields) => void>;

/**
 * Lines of text to `stderr`; with a file, JSON lines appended there instead.
 * `context` is added to each line: what tells its call from others.
 */
export function createLog(
  level: string,
  file: string | undefined,
  stderr: (text: string) => void,
  now: () => Date = () => new Date(),
  context: Fields = {},
): Log {
  const append = file === undefined ? undefined : appender(file, stderr);
  const at = (name: Level): Log[Level] => {
    if (!logs(level, name)) return () => {};
    return (message, fields) => {
      const all = { ...context, ...fields };
      const text = () => textLine(name, message, all);
      if (append) append(jsonLine(now(), name, message, all), text);
      else stderr(text());
    };
  };
  return {
    error: at("error"),
    warn: at("warn"),
    info: at("info"),
    debug: at("debug"),
  };
}

/** Whether `log_level` has the lines of a level. */
export function logs(logLevel: string, level: Level): boolean {
  return levels.indexOf(level) <= levels.indexOf(levelOf(logLevel));
}

/** CNI-Genie's samples spell levels in several ways; an unknown one is the default. */
function levelOf(text: string): Level {
  const name = text.toLowerCase();
  for (const level of levels) if (name.startsWith(level)) return level;
  return "warn";
}

/**
 * What a plugin said on stderr, whole (state.md "Processes and locks"). For a
 * log in a file only: our stderr has the plugin's own words already.
 */
export function logStderr(log: Log, { call, stderr, error }: Execution): void {
  if (stderr === "") return;
  const { type, verb, network, runtime } = call;
  log[error ? "warn" : "debug"]("stderr of a plugin", {
    plugin: type,
    verb,
    network,
    containerId: runtime.containerId || undefined,
    ifname: runtime.ifname || undefined,
    stderr,
  });
}

function textLine(level: Level, message: string, fields: Fields): string {
  let line = `genie: ${level}: ${escapeControls(message)}`;
  for (const [key, json] of encoded(fields)) line += ` ${key}=${json}`;
  return `${line}\n`;
}

/** A field that has one of the log's own names is renamed: `msg` to `fields.msg`. */
function jsonLine(
  time: Date,
  level: Level,
  message: string,
  fields: Fields,
): string {
  const names = new Set(["time", "level", "msg"]);
  const own = { time: time.toISOString(), level, msg: message };
  let line = escapeControls(JSON.stringify(own).slice(0, -1));
  for (const [key, json] of encoded(fields)) {
    let name = key;
    while (names.has(name)) name = `fields.${name}`;
    names.add(name);
    line += `,${escapeControls(JSON.stringify(name))}:${json}`;
  }
  return `${line}}\n`;
}

/** Each field that has a value, as JSON that no terminal takes for a command. */
function encoded(fields: Fields): [key: string, json: string][] {
  return Object.entries(fields).flatMap(([key, value]) => {
    const json = jsonOf(value);
    return json === undefined ? [] : [[key, escapeControls(json)]];
  });
}

/** Never throws: what is no JSON is logged as its text. */
function jsonOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return JSON.stringify(String(value));
  }
}

/**
 * Non-blocking: a named pipe must not hold up a pod. Symbolic links are
 * followed: the path is the operator's, and may lead to another disk.
 */
const appending = Open.writeOnly | Open.create | Open.append | Open.nonBlocking;

/**
 * Opened for each line: lines are rare, and a rotated file is followed. One
 * write for each line, so that lines of concurrent calls stay whole. A file that
 * cannot be written never fails a call: the lines go to stderr.
 */
function appender(
  file: string,
  stderr: (text: string) => void,
): (line: string, text: () => string) => void {
  let failed = false;
  return (line, text) => {
    try {
      const fd = open(file, appending, 0o600);
      try {
        writeAll(fd, line);
      } finally {
        close(fd);
      }
    } catch (error) {
      const path = escapeControls(JSON.stringify(file));
      const problem = `genie: warn: failed to write logFile ${path}: ${messageOf(error)}\n`;
      stderr(failed ? text() : problem + text());
      failed = true;
    }
  };
}
