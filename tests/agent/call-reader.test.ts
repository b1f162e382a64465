import { describe, expect, test } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import {
  type Offsets,
  keepCallsLog,
  readCalls,
} from "../../lib/agent/metrics/call-reader.ts";
import { CallCounters } from "../../lib/agent/metrics/call-counters.ts";
import { temporaryDirectory } from "../support/delegate.ts";

const line = (ms: number, more: object = {}) =>
  `${JSON.stringify({ verb: "ADD", ms, code: 0, delegates: [], requests: [], ...more })}\n`;

/** A directory of genie, and a reader that goes on. */
function logged() {
  const directory = temporaryDirectory();
  chmodSync(directory.path, 0o700);
  const current = `${directory.path}/calls.log`;
  let offsets: Offsets = {};
  return {
    path: directory.path,
    current,
    keep() {
      offsets = keepCallsLog(directory.path, offsets);
    },
    read(): number[] {
      const found = readCalls(directory.path, offsets);
      ({ offsets } = found);
      return found.calls.map(({ ms }) => ms);
    },
    [Symbol.dispose]: () => directory[Symbol.dispose](),
  };
}

describe("calls.log, the agent's side", () => {
  test("each line once; a line without its end when it is whole", () => {
    using log = logged();
    log.keep();
    expect(statSync(log.current).mode & 0o777).toBe(0o600);
    appendFileSync(log.current, line(1) + line(2) + line(3).slice(0, 9));
    expect(log.read()).toEqual([1, 2]);
    expect(log.read()).toEqual([]);
    // It is short: no rotation.
    log.keep();
    appendFileSync(log.current, line(3).slice(9));
    expect(log.read()).toEqual([3]);
  });

  test("lines that are none are skipped", () => {
    using log = logged();
    log.keep();
    const foreign = [
      "junk\n",
      "\n",
      "{}\n",
      line(-1),
      line(1, { verb: "X" }),
      "[1]\n",
    ];
    appendFileSync(log.current, `${foreign.join("")}${line(5)}`);
    expect(log.read()).toEqual([5]);
  });

  test("a line behind one that a full disk has cut is read", () => {
    using log = logged();
    log.keep();
    const timed = (ms: number) => line(ms).replace("{", '{"time":"t",');
    appendFileSync(log.current, timed(1).slice(0, 30) + timed(2));
    expect(log.read()).toEqual([2]);
  });

  test("rotation at 1 MiB: nothing is lost, also of a call that has the old file open", () => {
    using log = logged();
    log.keep();
    const long = line(1, { error: "x".repeat(1 << 20) });
    appendFileSync(log.current, long);
    expect(log.read()).toEqual([1]);
    log.keep();
    expect(readFileSync(`${log.path}/calls.log.1`, "utf8")).toBe(long);
    expect(statSync(log.current).size).toBe(0);
    appendFileSync(`${log.path}/calls.log.1`, line(2));
    appendFileSync(log.current, line(3));
    expect(log.read()).toEqual([2, 3]);
    // The second rotation frees the inode of the first file.
    appendFileSync(log.current, long);
    expect(log.read()).toEqual([1]);
    log.keep();
    appendFileSync(log.current, line(4) + long);
    expect(log.read()).toEqual([4, 1]);
  });

  test("a log that was removed is made again", () => {
    using log = logged();
    log.keep();
    appendFileSync(log.current, line(1));
    rmSync(log.current);
    log.keep();
    appendFileSync(log.current, line(2));
    expect(log.read()).toEqual([2]);
  });

  test("a symbolic link is replaced, its target untouched", () => {
    using log = logged();
    const target = `${log.path}/target`;
    writeFileSync(target, line(7));
    symlinkSync("target", log.current);
    expect(log.read()).toEqual([]);
    log.keep();
    appendFileSync(log.current, line(8));
    expect([log.read(), readFileSync(target, "utf8")]).toEqual([[8], line(7)]);
  });

  test("a huge file: read in parts, rotated, and lines behind it count", () => {
    using log = logged();
    writeFileSync(log.current, "");
    truncateSync(log.current, 40 * 2 ** 30);
    expect(log.read()).toEqual([]);
    log.keep();
    expect(statSync(log.current).size).toBe(0);
    appendFileSync(log.current, line(9));
    expect(log.read()).toEqual([9]);
  });

  test("a line behind 17 MiB of lines is read by the next call", () => {
    using log = logged();
    log.keep();
    const long = line(1, { error: "x".repeat(9 << 20) });
    appendFileSync(log.current, long + long + line(2));
    expect([log.read(), log.read(), log.read()]).toEqual([[1], [1, 2], []]);
  });

  test("without a log: no lines", () => {
    using log = logged();
    expect(log.read()).toEqual([]);
  });
});

describe("CallCounters", () => {
  test("subscribe: each later call once, whoever reads it", () => {
    using log = logged();
    const counters = new CallCounters(log.path);
    counters.keep();
    appendFileSync(log.current, line(1));
    counters.update();
    const seen: number[] = [];
    const unsubscribe = counters.subscribe(({ ms }) => seen.push(ms));
    appendFileSync(log.current, line(2) + line(3));
    counters.keep();
    counters.update();
    appendFileSync(log.current, line(4));
    counters.update();
    unsubscribe();
    appendFileSync(log.current, line(5));
    counters.update();
    expect(seen).toEqual([2, 3, 4]);
    expect(counters.text()).toContain(
      'genie_calls_total{verb="ADD",code="0"} 5\n',
    );
  });

  test("keep, a symbolic link: replaced, and the next lines count", () => {
    using log = logged();
    symlinkSync("target", log.current);
    const counters = new CallCounters(log.path);
    counters.keep();
    appendFileSync(log.current, line(1));
    counters.update();
    expect(counters.text()).toContain(
      'genie_calls_total{verb="ADD",code="0"} 1\n',
    );
  });

  test.each([
    ["labels that are no JSON", { genie_calls_total: { x: [9] } }],
    ["another number of labels", { genie_calls_total: { '["ADD"]': [9] } }],
    ["other buckets", { genie_call_seconds: { '["ADD"]': [9, 9] } }],
    ["a negative value", { genie_calls_total: { '["ADD","0"]': [-9] } }],
  ])("stored counters, %s: counted anew", (_, values) => {
    using log = logged();
    log.keep();
    appendFileSync(log.current, line(1));
    const path = `${log.path}/calls.json`;
    writeFileSync(path, JSON.stringify({ offsets: {}, values }), {
      mode: 0o600,
    });
    const counters = new CallCounters(log.path);
    counters.update();
    expect(counters.text()).toContain(
      'genie_calls_total{verb="ADD",code="0"} 1\n',
    );
    expect(counters.text()).not.toContain("9\n");
  });
});
