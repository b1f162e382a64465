/** flock(2) between openings of one file, and between processes (state.md "Processes and locks"). */
import { describe, expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { tryLock, tryShare, unlock } from "../../lib/linux/flock.ts";
import { temporaryDirectory } from "../support/delegate.ts";

describe("tryLock", () => {
  test("is exclusive between two openings of one file, until it is given up", () => {
    using directory = temporaryDirectory();
    const [a, b] = [0, 1].map(() => openSync(`${directory.path}/lock`, "a"));
    if (a === undefined || b === undefined) throw new Error("not opened");
    const held = [tryLock(a), tryLock(b)];
    unlock(a);
    const passed = [tryLock(b), tryLock(a)];
    closeSync(b);
    const afterClose = tryLock(a);
    closeSync(a);
    expect([held, passed, afterClose]).toEqual([
      [true, false],
      [true, false],
      true,
    ]);
  });

  test("succeeds again for its owner", () => {
    using directory = temporaryDirectory();
    const fd = openSync(`${directory.path}/lock`, "a");
    expect([tryLock(fd), tryLock(fd)]).toEqual([true, true]);
    closeSync(fd);
  });

  test("throws for every failure but a lock of another process", () => {
    expect(() => tryLock(-1)).toThrow(
      expect.objectContaining({
        code: "EBADF",
        message: "bad file descriptor",
      }),
    );
    expect(() => tryShare(-1)).toThrow(
      expect.objectContaining({ code: "EBADF" }),
    );
  });

  test("survives in a process that inherited the descriptor, until it ends or any of them unlocks", async () => {
    using directory = temporaryDirectory();
    const path = `${directory.path}/lock`;
    const [ours, others] = [openSync(path, "a"), openSync(path, "a")];
    expect(tryLock(ours)).toBe(true);
    const heir = Bun.spawn(["cat"], {
      stdio: ["pipe", "ignore", "ignore", ours],
    });
    closeSync(ours);
    const whileItRuns = tryLock(others);
    void heir.stdin.end();
    await heir.exited;
    expect([whileItRuns, tryLock(others)]).toEqual([false, true]);
    closeSync(others);
  });
});
