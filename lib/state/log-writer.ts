/**
 * The log: one line for each event, on our stderr or in `logFile` (configuration.md
 * "log_level"). Callers pass no secret: no token, key, kubeconfig text or whole stdin.
 * Loaded for the first line of a call.
 */
import type { Execution } from "../cni/invoke.ts";
import { messageOf } from "../linux/errno.ts";
import { Open, close, open, status } from "../linux/file-calls.ts";
import { writeAll } from "../linux/files.ts";
import { escapeControls } from "../linux/text.ts";
import { type Fields, type Level, type Log, logs } from "./log-level.ts";

/** Writes lines of text to `stderr`, or JSON lines to a file. `context` is in each line. */
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

/**
 * The whole stderr of a plugin (state.md "Processes and locks"), for a log in a file: our
 * stderr has it already.
 */
export function logStderr(log: Log, { call, stderr, error }: Execution): void {
  if (stderr === "") return;
  const fields = { ...fieldsOfCall(call), stderr };
  log[error ? "warn" : "debug"]("stderr of a plugin", fields);
}

/** The fields of a line about the call of a plugin. */
export function fieldsOfCall({
  type,
  verb,
  network,
  runtime,
}: Execution["call"]): Fields {
  return {
    plugin: type,
    verb,
    network,
    containerId: runtime.containerId || undefined,
    ifname: runtime.ifname || undefined,
  };
}

function textLine(level: Level, message: string, fields: Fields): string {
  let line = `genie: ${level}: ${escapeControls(message)}`;
  for (const [key, json] of encoded(fields)) line += ` ${key}=${json}`;
  return `${line}\n`;
}

/** A field with a name of the log itself is renamed: `msg` to `fields.msg`. */
function jsonLine(
  time: Date,
  level: Level,
  message: string,
  fields: Fields,
): string {
  const names = new Set(["time", "level", "msg"]);
  const head = { time: time.toISOString(), level, msg: message };
  let line = escapeControls(JSON.stringify(head).slice(0, -1));
  for (const [key, json] of encoded(fields)) {
    let name = key;
    while (names.has(name)) name = `fields.${name}`;
    names.add(name);
    line += `,${escapeControls(JSON.stringify(name))}:${json}`;
  }
  return `${line}}\n`;
}

/** The fields that have a value, as JSON without control characters. */
function encoded(fields: Fields): [key: string, json: string][] {
  const texts: [key: string, json: string][] = [];
  for (const [key, value] of Object.entries(fields)) {
    const json = jsonOf(value);
    if (json !== undefined) texts.push([key, escapeControls(json)]);
  }
  return texts;
}

/** Never throws: a value without JSON is logged as text. */
function jsonOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return JSON.stringify(String(value));
  }
}

/** Non-blocking: opening a FIFO must not block. Symbolic links are followed: the operator chose the path. */
const appending = Open.writeOnly | Open.create | Open.append | Open.nonBlocking;

/** Its descriptor. */
const stdout = 1;

/**
 * Opens the file for each line, because it may have been rotated, and writes a line at
 * once, because other calls write too. Lines that cannot be written go to stderr.
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
        // `/dev/stdout`: the runtime expects one JSON value there (P-ERR-3).
        if (status(fd).id === status(stdout).id)
          throw new Error("it is stdout, which is the runtime's");
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
