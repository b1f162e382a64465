/** Waiting for descriptors, and the clock of the machine. */
import { describe, expect, test } from "bun:test";
import {
  closeSync,
  constants,
  openSync,
  readFileSync,
  writeSync,
} from "node:fs";
import { readable, ready, uptimeMs, writable } from "../../lib/linux/libc.ts";
import { temporaryDirectory } from "../support/delegate.ts";

describe("ready", () => {
  test("whether there is something to read", () => {
    using directory = temporaryDirectory();
    const fd = fifo(directory.path);
    const empty = ready(fd, readable, 0);
    writeSync(fd, "x");
    expect([empty, ready(fd, readable, 0)]).toEqual([false, true]);
    closeSync(fd);
  });

  test("whether there is room to write", () => {
    using directory = temporaryDirectory();
    const fd = fifo(directory.path);
    const room = ready(fd, writable, 0);
    let written = 0;
    while (ready(fd, writable, 0)) written += writeSync(fd, Buffer.alloc(4096));
    expect([room, written > 0, ready(fd, writable, 0)]).toEqual([
      true,
      true,
      false,
    ]);
    closeSync(fd);
  });

  test("waits until its limit", () => {
    using directory = temporaryDirectory();
    const fd = fifo(directory.path);
    const start = performance.now();
    expect(ready(fd, readable, 20)).toBe(false);
    expect(performance.now() - start).toBeGreaterThanOrEqual(19.5);
    closeSync(fd);
  });

  test("takes the end of input for something to read", () => {
    const fd = openSync("/dev/null", "r");
    expect(ready(fd, readable, 0)).toBe(true);
    closeSync(fd);
  });

  test("an invalid descriptor counts as ready: the read fails", () => {
    const fd = openSync("/dev/null", "r");
    closeSync(fd);
    expect(ready(fd, readable, 0)).toBe(true);
  });
});

test("uptimeMs, is the machine's and moves on", () => {
  const before = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  const [first, second] = [uptimeMs(), uptimeMs()];
  expect([first / 1000 - before < 60, first / 1000 >= before - 0.02]).toEqual([
    true,
    true,
  ]);
  expect(second).toBeGreaterThanOrEqual(first);
});

/** A pipe of which we have both ends, by a FIFO. */
function fifo(directory: string): number {
  expect(Bun.spawnSync(["mkfifo", `${directory}/fifo`]).exitCode).toBe(0);
  return openSync(`${directory}/fifo`, constants.O_RDWR | constants.O_NONBLOCK);
}
