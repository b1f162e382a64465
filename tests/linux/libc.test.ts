import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { describe, expect, test } from "bun:test";
import {
  Open,
  appendOnly,
  memoryFile,
  close,
  open,
  readable,
  ready,
  statusIfAny,
  tryLock,
  tryShare,
  unlock,
  uptimeMs,
  writable,
} from "../../lib/linux/libc.ts";
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

  test("may be asked again by its holder", () => {
    using directory = temporaryDirectory();
    const fd = openSync(`${directory.path}/lock`, "a");
    expect([tryLock(fd), tryLock(fd)]).toEqual([true, true]);
    closeSync(fd);
  });

  test("throws for every failure but that somebody holds it", () => {
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

  test("survives in a process that inherited the descriptor, until it ends or somebody unlocks", async () => {
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

describe("open, noFollow", () => {
  const flags = Open.readWrite | Open.create | Open.noFollow;

  test("refuses a symbolic link, and makes nothing where it leads to", () => {
    using directory = temporaryDirectory();
    symlinkSync(`${directory.path}/target`, `${directory.path}/link`);
    expect(() => open(`${directory.path}/link`, flags, 0o600)).toThrow(
      expect.objectContaining({ code: "ELOOP" }),
    );
    expect(existsSync(`${directory.path}/target`)).toBe(false);
  });

  test("opens a file, and one that is reached through a linked directory", () => {
    using directory = temporaryDirectory();
    symlinkSync(directory.path, `${directory.path}/directory`);
    for (const path of ["/file", "/directory/file"])
      close(open(`${directory.path}${path}`, flags, 0o600));
    expect(existsSync(`${directory.path}/file`)).toBe(true);
  });
});

describe("statusIfAny", () => {
  test.each([0, 1_700_000_000.25, 5_000_000_000])(
    "says when a file was written, %d seconds after 1970",
    (seconds) => {
      using directory = temporaryDirectory();
      const path = `${directory.path}/file`;
      writeFileSync(path, "");
      utimesSync(path, seconds, seconds);
      expect(statusIfAny(path)?.modifiedMs).toBeCloseTo(seconds * 1000, 1);
    },
  );
});

describe("memoryFile", () => {
  test("is an empty file without a name that can be written and read", () => {
    const fd = memoryFile("stdout of a delegate") ?? -1;
    writeSync(fd, "text");
    const buffer = Buffer.alloc(8);
    const length = readSync(fd, buffer, 0, 8, 0);
    const { nlink, size } = fstatSync(fd);
    closeSync(fd);
    expect([buffer.toString("utf8", 0, length), nlink, size]).toEqual([
      "text",
      0,
      4,
    ]);
  });

  test("is not inherited", () => {
    const fd = memoryFile("x") ?? -1;
    const flags = readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
    closeSync(fd);
    const octal = /^flags:\s*(\d+)$/m.exec(flags)?.[1] ?? "";
    expect(Number.parseInt(octal, 8) & 0o2000000).toBe(0o2000000);
  });

  test("throws when the kernel refuses the name", () => {
    const name = "x".repeat(250);
    expect(() => memoryFile(name)).toThrow(
      expect.objectContaining({ code: "EINVAL" }),
    );
  });
});

test("appendOnly, writes go to the end, also after the file was emptied by its name", () => {
  const fd = memoryFile("x") ?? -1;
  appendOnly(fd);
  writeSync(fd, "before");
  writeFileSync(`/proc/self/fd/${fd}`, "emptied,");
  writeSync(fd, "after");
  const text = readFileSync(`/proc/self/fd/${fd}`, "utf8");
  closeSync(fd);
  expect(text).toBe("emptied,after");
});

describe("ready", () => {
  test("tells whether there is something to read", () => {
    using directory = temporaryDirectory();
    const fd = fifo(directory.path);
    const empty = ready(fd, readable, 0);
    writeSync(fd, "x");
    expect([empty, ready(fd, readable, 0)]).toEqual([false, true]);
    closeSync(fd);
  });

  test("tells whether there is room to write", () => {
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

  test("waits as long as it is told", () => {
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

  test("takes a descriptor that is none for ready: the read says why", () => {
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
