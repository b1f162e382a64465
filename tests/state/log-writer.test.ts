/** `log_level` and `logFile` of configuration.md. */
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "bun:test";
import {
  type Fields,
  type Level,
  type Log,
  logs,
} from "../../lib/state/log-level.ts";
import { createLog } from "../../lib/state/log-writer.ts";
import { temporaryDirectory } from "../support/delegate.ts";

const now = () => new Date("2026-01-02T03:04:05.678Z");

/** Logs one line at every level. */
function everyLevel(log: Log): void {
  log.debug("d");
  log.info("i");
  log.warn("w", { network: "n" });
  log.error("e");
}

/** The lines on stderr. */
function stderrOf(level: string, write: (log: Log) => void): string {
  const texts: string[] = [];
  write(createLog(level, undefined, (text) => void texts.push(text), now));
  return texts.join("");
}

const base = { time: "2026-01-02T03:04:05.678Z", level: "warn" };

/** The lines in a file; none may be on stderr. */
function fileText(write: (log: Log) => void, context?: Fields): string {
  using directory = temporaryDirectory();
  const file = `${directory.path}/genie.log`;
  write(createLog("warn", file, unexpected, now, context));
  return readFileSync(file, "utf8");
}

function linesOf(write: (log: Log) => void, context?: Fields): unknown[] {
  const lines = fileText(write, context).trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as unknown);
}

function unexpected(text: string): never {
  throw new Error(`on stderr: ${text}`);
}

function cyclic(): object {
  const value: { self?: object } = {};
  value.self = value;
  return value;
}

const all = [
  "genie: debug: d\n",
  "genie: info: i\n",
  'genie: warn: w network="n"\n',
  "genie: error: e\n",
];

describe("createLog", () => {
  test.each<[string, number]>([
    ["debug", 4],
    ["info", 3],
    ["warn", 2],
    ["error", 1],
    ["DEBUG", 4],
    ["Info", 3],
    ["warning", 2],
    ["Error", 1],
    ["", 2],
    ["verbose", 2],
  ])("level %p writes the last %d of four", (level, count) => {
    expect(stderrOf(level, everyLevel)).toBe(all.slice(-count).join(""));
  });

  test("puts everything of an event on one line", () => {
    const said = stderrOf("warn", (log) =>
      log.warn("w", { text: 'a\nb "c"', list: [1] }),
    );
    expect(said).toBe('genie: warn: w text="a\\nb \\"c\\"" list=[1]\n');
  });

  const odd = "a\nb\tc\r\u001b[2Jd\u007f\u0085\u009b\u2028e";
  const escaped = "a\\nb\\tc\\r\\u001b[2Jd\\u007f\\u0085\\u009b\\u2028e";

  test("text, control characters of messages and fields are escaped", () => {
    expect(stderrOf("warn", (log) => log.warn(odd, { field: odd }))).toBe(
      `genie: warn: ${escaped} field="${escaped}"\n`,
    );
  });

  test("JSON, control characters of messages, keys and values are escaped and read back as they were", () => {
    using directory = temporaryDirectory();
    const file = `${directory.path}/genie.log`;
    createLog("warn", file, unexpected, now).warn(odd, {
      [odd]: { [odd]: odd },
    });
    const text = readFileSync(file, "utf8");
    const { time, level } = base;
    expect(text).toBe(
      `{"time":"${time}","level":"${level}","msg":"${escaped}","${escaped}":{"${escaped}":"${escaped}"}}\n`,
    );
    expect(JSON.parse(text)).toEqual({
      ...base,
      msg: odd,
      [odd]: { [odd]: odd },
    });
  });

  const fields = {
    none: undefined,
    nothing: () => {},
    big: 10n,
    cyclic: cyclic(),
    null: null,
  };
  test("fields, one without a value is left out, one that is no JSON is its text", () => {
    expect(stderrOf("warn", (log) => log.warn("w", fields))).toBe(
      'genie: warn: w big="10" cyclic="[object Object]" null=null\n',
    );
    expect(linesOf((log) => log.warn("w", fields))).toEqual([
      { ...base, msg: "w", big: "10", cyclic: "[object Object]", null: null },
    ]);
  });

  test("JSON, a field never takes the place of time, level or msg, nor of another field", () => {
    const text = fileText((log) =>
      log.warn("w", {
        msg: "m",
        "fields.msg": "n",
        time: "never",
        level: "none",
        ["__proto__"]: "p",
      }),
    );
    expect(text).toBe(
      `{"time":"${base.time}","level":"warn","msg":"w","fields.msg":"m","fields.fields.msg":"n",` +
        `"fields.time":"never","fields.level":"none","__proto__":"p"}\n`,
    );
  });

  test("context, is in each line, a field of the event wins", () => {
    const context = { verb: "ADD", pod: "shop/web", ifname: undefined };
    const write = (log: Log) => {
      log.warn("one");
      log.warn("two", { verb: "DEL" });
    };
    expect(linesOf(write, context)).toEqual([
      { ...base, msg: "one", verb: "ADD", pod: "shop/web" },
      { ...base, msg: "two", verb: "DEL", pod: "shop/web" },
    ]);
  });

  test("appends JSON lines to a file, which only root may read, and nothing to stderr", () => {
    using directory = temporaryDirectory();
    const file = `${directory.path}/genie.log`;
    const texts: string[] = [];
    const log = createLog("warn", file, (text) => void texts.push(text), now);
    everyLevel(log);
    const lines = readFileSync(file, "utf8").trimEnd().split("\n");
    const time = "2026-01-02T03:04:05.678Z";
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { time, level: "warn", msg: "w", network: "n" },
      { time, level: "error", msg: "e" },
    ]);
    expect([texts, (statSync(file).mode & 0o777).toString(8)]).toEqual([
      [],
      "600",
    ]);
  });

  test("follows a file that is rotated", () => {
    using directory = temporaryDirectory();
    const file = `${directory.path}/genie.log`;
    const log = createLog("warn", file, () => {}, now);
    log.warn("one");
    renameSync(file, `${file}.1`);
    log.warn("two");
    expect(
      [`${file}.1`, file].map((path) => readFileSync(path, "utf8")),
    ).toEqual(
      ["one", "two"].map(
        (msg) =>
          `{"time":"2026-01-02T03:04:05.678Z","level":"warn","msg":"${msg}"}\n`,
      ),
    );
  });

  test("follows a symbolic link, which is the operator's", () => {
    using directory = temporaryDirectory();
    const [file, link] = [
      `${directory.path}/genie.log`,
      `${directory.path}/link`,
    ];
    symlinkSync(file, link);
    createLog("warn", link, unexpected, now).warn("w");
    expect(readFileSync(file, "utf8")).toContain('"msg":"w"');
  });

  test("falls back to stderr, as text, when the file cannot be written; says so once", () => {
    using directory = temporaryDirectory();
    const file = `${directory.path}/directory\n`;
    mkdirSync(file);
    const texts: string[] = [];
    const log = createLog("warn", file, (text) => void texts.push(text), now);
    log.error("e", { code: 7 });
    log.warn("w");
    expect(texts.join("")).toBe(
      `genie: warn: failed to write logFile "${directory.path}/directory\\n": is a directory\n` +
        "genie: error: e code=7\ngenie: warn: w\n",
    );
  });

  test.each([
    ["no directory", "/nowhere/at/all/genie.log"],
    ["a full disk", "/dev/full"],
    ["not a directory", "/dev/null/genie.log"],
  ])("falls back to stderr, %s", (_, file) => {
    const texts: string[] = [];
    createLog("warn", file, (text) => void texts.push(text), now).warn("w");
    expect(texts.join("")).toMatch(
      /^genie: warn: failed to write logFile .*\ngenie: warn: w\n$/,
    );
  });

  test("named pipe, without a reader and with one that does not read: does not wait", () => {
    using directory = temporaryDirectory();
    const file = `${directory.path}/fifo`;
    expect(Bun.spawnSync(["mkfifo", file]).exitCode).toBe(0);
    const texts: string[] = [];
    const log = createLog("warn", file, (text) => void texts.push(text), now);
    log.warn("nobody");
    expect(texts.join("")).toEndWith("\ngenie: warn: nobody\n");
    const reader = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    log.warn("somebody");
    const buffer = new Uint8Array(1000);
    const line = new TextDecoder().decode(
      buffer.subarray(0, readSync(reader, buffer)),
    );
    expect(JSON.parse(line)).toEqual({ ...base, msg: "somebody" });
    const large = "x".repeat(1 << 20);
    log.warn(large);
    closeSync(reader);
    expect(texts.at(-1)).toBe(`genie: warn: ${large}\n`);
  });

  test("concurrent writers, every line is whole", async () => {
    using directory = temporaryDirectory();
    const file = `${directory.path}/genie.log`;
    const script = (name: string) => `
      import { createLog } from ${JSON.stringify(join(import.meta.dir, "../../lib/state/log-writer.ts"))};
      const log = createLog("warn", ${JSON.stringify(file)}, () => process.exit(1));
      for (let i = 0; i < 50; i++) log.warn("${name}".repeat(50000));`;
    const writers = ["a", "b", "c"].map((name) =>
      Bun.spawn([process.execPath, "-e", script(name)]),
    );
    expect(await Promise.all(writers.map(({ exited }) => exited))).toEqual([
      0, 0, 0,
    ]);
    const messages = readFileSync(file, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { msg: string }).msg);
    expect(messages.toSorted()).toEqual(
      ["a", "b", "c"].flatMap((name) =>
        Array<string>(50).fill(name.repeat(50000)),
      ),
    );
  });
});

describe("logs", () => {
  test.each<[string, Level, boolean]>([
    ["warn", "info", false],
    ["warn", "warn", true],
    ["info", "info", true],
    ["Debug", "info", true],
    ["error", "warn", false],
    ["nonsense", "info", false],
  ])("logs, log_level %p has the lines of %s: %p", (level, name, expected) => {
    expect(logs(level, name)).toBe(expected);
  });
});
