/** `log_level` and `logFile` of configuration.md. */
import { mkdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { describe, expect, test } from "bun:test";
import { type Log, createLog } from "../../lib/attach/log.ts";
import { temporaryFolder } from "../support/delegate.ts";

const now = () => new Date("2026-01-02T03:04:05.678Z");

/** Logs one line at every level. */
function everyLevel(log: Log): void {
  log.debug("d");
  log.info("i");
  log.warn("w", { network: "n" });
  log.error("e");
}

/** What goes to stderr. */
function stderrOf(level: string, write: (log: Log) => void): string {
  const texts: string[] = [];
  write(createLog(level, undefined, (text) => void texts.push(text), now));
  return texts.join("");
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
      log.warn("w", { text: 'a\nb "c"', list: [1], none: undefined }),
    );
    expect(said).toStartWith('genie: warn: w text="a\\nb \\"c\\"" list=[1]');
    expect(said.split("\n")).toHaveLength(2);
  });

  test("appends JSON lines to a file, which only root may read, and nothing to stderr", () => {
    using folder = temporaryFolder();
    const file = `${folder.path}/genie.log`;
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
    using folder = temporaryFolder();
    const file = `${folder.path}/genie.log`;
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

  test("falls back to stderr when the file cannot be written", () => {
    using folder = temporaryFolder();
    const file = `${folder.path}/folder`;
    mkdirSync(file);
    const texts: string[] = [];
    createLog("warn", file, (text) => void texts.push(text), now).error("e");
    expect(texts.join("")).toMatch(
      /^genie: failed to write logFile: is a directory\n\{"time":"2026-01-02T03:04:05.678Z","level":"error","msg":"e"\}\n$/,
    );
  });
});
