/** state.md "Processes and locks": one container's operations never run over each other. */
import {
  chmodSync,
  closeSync,
  existsSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { describe, expect, test } from "bun:test";
import { Deadline } from "../../lib/linux/deadline.ts";
import { UnsafeDirectory } from "../../lib/linux/errno.ts";
import { tryLock } from "../../lib/linux/flock.ts";
import { isWorkedOn, lockContainer, lockIfLeft } from "../../lib/state/lock.ts";
import { isStillNamed } from "../../lib/state/lock-file.ts";
import {
  withRecordsAlone,
  withSharedRecords,
} from "../../lib/state/records-lock.ts";
import { isRunning, temporaryDirectory, until } from "../support/delegate.ts";
import { descriptorsOpenedNow } from "../support/descriptors.ts";
import { smallDisk } from "../support/disk.ts";
import { cniError, rejection } from "../support/cni-error.ts";

const minute = () => new Deadline(60_000);
const noPause = () => Promise.reject(new Error("no pause was expected"));

function locking(
  dataDir: string,
  sleep: (ms: number) => Promise<void> = Bun.sleep,
) {
  return { config: { dataDir }, dependencies: { sleep } };
}

/** A directory with a function that locks container c1 in it. */
function node() {
  const directory = temporaryDirectory();
  const path = `${directory.path}/locks/c1`;
  const lock = (
    sleep?: (ms: number) => Promise<void>,
    deadline = minute(),
    containerId = "c1",
  ) => lockContainer(locking(directory.path, sleep), containerId, deadline);
  return { ...directory, dataDir: directory.path, path, lock };
}

/** Time that only pauses move; `during` happens in each. */
function time(ms: number, during: (pauses: number) => void = () => {}) {
  let now = 0;
  const pauses: number[] = [];
  return {
    deadline: new Deadline(ms, () => now),
    pauses,
    sleep: async (pause: number) => {
      now += pause;
      pauses.push(pause);
      during(pauses.length);
    },
  };
}

const modules = {
  lock: JSON.stringify(import.meta.resolve("../../lib/state/lock.ts")),
  deadline: JSON.stringify(import.meta.resolve("../../lib/linux/deadline.ts")),
};

/** Another process that runs this text with `lock()`, which locks c1. */
function other(dataDir: string, text: string) {
  const program = `
    import { lockContainer } from ${modules.lock};
    import { Deadline } from ${modules.deadline};
    const context = { config: { dataDir: ${JSON.stringify(dataDir)} }, dependencies: { sleep: Bun.sleep } };
    const lock = () => lockContainer(context, "c1", new Deadline(60000));
    ${text}`;
  return Bun.spawn({
    cmd: [process.execPath, "-e", program],
    env: { PATH: process.env["PATH"] },
    stdio: ["pipe", "pipe", "inherit"],
  });
}

/** The first line that a process prints. */
async function line(child: { stdout: ReadableStream }): Promise<string> {
  const reader = child.stdout.getReader();
  const decoder = new TextDecoder();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`it ended after ${JSON.stringify(text)}`);
    text += decoder.decode(value as Uint8Array, { stream: true });
  }
  reader.releaseLock();
  return text.trimEnd();
}

/** A process that inherits the descriptor, as a delegate does. */
function heir(
  fd: number,
  env: Readonly<Record<string, string>> = {},
  detached = true,
) {
  return Bun.spawn({
    cmd: ["sleep", "60"],
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["ignore", "ignore", "ignore", fd],
    detached,
  });
}

describe("lockContainer", () => {
  test("locks without a pause, in files that only root may read", async () => {
    using at = node();
    const lock = await at.lock(noPause);
    const { mode } = statSync(at.path);
    expect([
      mode & 0o777,
      statSync(`${at.dataDir}/locks`).mode & 0o777,
    ]).toEqual([0o600, 0o700]);
    lock.release();
  });

  test("writes its owner: process and start time", async () => {
    using at = node();
    const lock = await at.lock(noPause);
    const stat = readFileSync("/proc/self/stat", "utf8");
    const startTime = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    expect(readFileSync(at.path, "utf8").trim()).toBe(
      `${process.pid} ${startTime}`,
    );
    lock.release();
  });

  test("leaves nothing behind when it is released", async () => {
    using at = node();
    const lock = await at.lock(noPause);
    lock.release();
    expect([
      existsSync(at.path),
      existsSync(`/proc/self/fd/${lock.fd}`),
    ]).toEqual([false, false]);
  });

  test("ignores the line of a former owner", async () => {
    using at = node();
    mkdirSync(`${at.dataDir}/locks`);
    writeFileSync(at.path, "999999999 123456789012345678901234567890");
    const lock = await at.lock(noPause);
    expect(readFileSync(at.path, "utf8")).toMatch(/^\d+ \d+ *$/);
    lock.release();
  });

  test("locks different containers at the same time", async () => {
    using at = node();
    const locks = await Promise.all(
      ["a", "b", "A".repeat(64)].map((id) => at.lock(noPause, minute(), id)),
    );
    expect(new Set(locks.map(({ fd }) => fstatSync(fd).ino)).size).toBe(3);
    for (const lock of locks) lock.release();
  });

  test("locks a container with an ID longer than a file name", async () => {
    using at = node();
    const [a, b] = ["a", "b"].map((end) => "x".repeat(300) + end);
    const locks = await Promise.all(
      [a, b].map((id) => at.lock(noPause, minute(), id)),
    );
    const again = time(0);
    const third = at.lock(again.sleep, again.deadline, a);
    expect(await rejection(third)).toHaveProperty("code", 11);
    for (const lock of locks) lock.release();
  });

  test("fails with 5 when there can be no lock", async () => {
    using at = node();
    writeFileSync(`${at.dataDir}/locks`, "");
    expect(await rejection(at.lock(noPause))).toEqual(
      new UnsafeDirectory(
        `refusing directory "${at.dataDir}/locks": it is not a directory`,
      ),
    );
  });
});

test.each([
  ["dataDir", ""],
  ["its directory of locks", "/locks"],
])("lockContainer, %s is not ours alone: 5", async (_, below) => {
  using at = node();
  (await at.lock(noPause)).release();
  chmodSync(`${at.dataDir}${below}`, 0o777);
  expect(await rejection(at.lock(noPause))).toEqual(
    new UnsafeDirectory(
      `refusing directory "${at.dataDir}${below}": group or others may write to it (mode 0777)`,
    ),
  );
});

describe.each<[string, (path: string) => unknown]>([
  [
    "a symbolic link",
    (path) => symlinkSync(path.replace(/[^/]+$/, "target"), path),
  ],
  ["a symbolic link to itself", (path) => symlinkSync(path, path)],
  ["a named pipe", (path) => Bun.spawnSync(["mkfifo", path])],
  ["a device", (path) => Bun.spawnSync(["mknod", path, "c", "1", "3"])],
  [
    "a socket",
    (path) => Bun.listen({ unix: path, socket: { data() {} } }).unref(),
  ],
])("%s has the lock's name", (_, make) => {
  function made() {
    const at = node();
    mkdirSync(`${at.dataDir}/locks`);
    writeFileSync(`${at.dataDir}/locks/target`, "untouched");
    make(at.path);
    return at;
  }

  test("lockContainer: a file takes its place", async () => {
    using at = made();
    const lock = await at.lock(noPause);
    expect(lstatSync(at.path).ino).toBe(fstatSync(lock.fd).ino);
    lock.release();
    expect(readdirSync(`${at.dataDir}/locks`)).toEqual(["target"]);
    expect(readFileSync(`${at.dataDir}/locks/target`, "utf8")).toBe(
      "untouched",
    );
  });

  test("lockIfLeft and isWorkedOn: it is no lock", async () => {
    using at = made();
    expect(await isWorkedOn(at.dataDir, "c1")).toBe(false);
    expect(lockIfLeft(at.path)).toBeUndefined();
  });
});

test("isStillNamed, a pipe that another genie replaced by its lock: the lock stays", () => {
  using at = node();
  const path = `${at.dataDir}/lock`;
  Bun.spawnSync(["mkfifo", path]);
  const fd = openSync(path, "r+");
  rmSync(path);
  writeFileSync(path, "");
  expect([isStillNamed(path, fd), existsSync(path)]).toEqual([false, true]);
  closeSync(fd);
});

test("lockContainer, a directory has the lock's name: it is moved aside", async () => {
  using at = node();
  mkdirSync(`${at.path}/within`, { recursive: true });
  chmodSync(`${at.dataDir}/locks`, 0o700);
  (await at.lock(noPause)).release();
  expect([
    existsSync(at.path),
    existsSync(`${at.path}.corrupt/within`),
  ]).toEqual([false, true]);
});

describe("lockContainer, while a living genie owns it", () => {
  test("waits until it is released", async () => {
    using at = node();
    const first = await at.lock(noPause);
    const { deadline, sleep, pauses } = time(60_000, (count) => {
      if (count === 3) first.release();
    });
    const second = await at.lock(sleep, deadline);
    const named = [fstatSync(second.fd).ino, statSync(at.path).ino];
    expect([pauses, named[0] === named[1]]).toEqual([[10, 10, 10], true]);
    second.release();
  });

  test("gives up at the end of the phase: 11, naming the process", async () => {
    using at = node();
    const first = await at.lock(noPause);
    const { deadline, sleep, pauses } = time(25);
    expect(await rejection(at.lock(sleep, deadline))).toEqual(
      cniError(
        11,
        `container c1 is locked by another operation (process ${process.pid})`,
      ),
    );
    expect([pauses, existsSync(at.path)]).toEqual([[10, 10, 5], true]);
    first.release();
  });

  test("of all records, as a GC has it: an ADD gives up at the end of the phase", async () => {
    using at = node();
    const context = locking(at.dataDir, noPause);
    const ends = new Deadline(1000);
    const add = () => withSharedRecords(context, new Deadline(0), () => "in");
    const failed = await withRecordsAlone(context, ends, () =>
      rejection(add()),
    );
    expect([failed, await add()]).toEqual([
      cniError(11, "the attachment records are locked by another operation"),
      "in",
    ]);
  });

  test("tries once even when there is no time", async () => {
    using at = node();
    const lock = await at.lock(noPause, new Deadline(0));
    expect(tryLock(lock.fd)).toBe(true);
    lock.release();
  });

  test("leaves its delegates alone", async () => {
    using at = node();
    const first = await at.lock(noPause);
    const delegate = heir(first.fd, { GENIE_CONTAINER: "c1" });
    const { deadline, sleep } = time(25);
    const failed = await rejection(at.lock(sleep, deadline));
    const alive = isRunning(delegate.pid);
    first.release();
    delegate.kill("SIGKILL");
    await delegate.exited;
    expect([failed, alive]).toEqual([
      expect.objectContaining({ code: 11 }),
      true,
    ]);
  });

  test("does not leave a descriptor behind for each try", async () => {
    using at = node();
    const first = await at.lock(noPause);
    const left = descriptorsOpenedNow();
    const { deadline, sleep } = time(100);
    await rejection(at.lock(sleep, deadline));
    expect(left()).toEqual([]);
    first.release();
  });

  test("does not take a file for the lock that was removed and made anew", async () => {
    using at = node();
    const first = await at.lock(noPause);
    let foreign = -1;
    const { deadline, sleep, pauses } = time(60_000, (count) => {
      if (count === 1) {
        // The name is another file's now, which another process holds.
        rmSync(at.path);
        foreign = openSync(at.path, "a");
        tryLock(foreign);
      }
      if (count === 2) closeSync(foreign);
    });
    const second = await at.lock(sleep, deadline);
    expect([
      pauses.length,
      fstatSync(second.fd).ino === statSync(at.path).ino,
    ]).toEqual([2, true]);
    second.release();
    first.release();
  });

  test("passes over a daemon that a delegate left behind, once it is released", async () => {
    using at = node();
    const first = await at.lock(noPause);
    const daemon = heir(first.fd);
    first.release();
    const second = await at.lock(noPause);
    expect(isRunning(daemon.pid)).toBe(true);
    second.release();
    daemon.kill("SIGKILL");
    await daemon.exited;
  });

  test("gives it up for a daemon that inherited it, also where the file could not be removed", async () => {
    using at = node();
    const first = await at.lock(noPause);
    const daemon = heir(first.fd);
    // The same file under a second name.
    linkSync(at.path, `${at.path}.kept`);
    first.release();
    renameSync(`${at.path}.kept`, at.path);
    (await at.lock(noPause)).release();
    expect(isRunning(daemon.pid)).toBe(true);
    daemon.kill("SIGKILL");
    await daemon.exited;
  });

  test("of all records: a GC gives it up for a daemon that inherited it", async () => {
    using at = node();
    const context = locking(at.dataDir, noPause);
    const inherit = async ({ fd }: { fd: number }) => heir(fd);
    const daemon = await withRecordsAlone(context, minute(), inherit);
    expect(await withSharedRecords(context, minute(), () => "in")).toBe("in");
    expect(isRunning(daemon.pid)).toBe(true);
    daemon.kill("SIGKILL");
    await daemon.exited;
  });
});

describe("lockContainer, after its genie was killed", () => {
  const holding = `
    const held = await lock();
    const orphan = Bun.spawn({
      cmd: COMMAND,
      env: { ...process.env, ...ENV },
      stdio: ["ignore", "ignore", "ignore", held.fd],
      detached: true,
    });
    console.log(orphan.pid);
    await Bun.stdin.text();`;

  /** A genie that was killed while a delegate of it ran; the orphan's pid. */
  async function orphaned(
    dataDir: string,
    command: string[],
    env: object = {},
  ): Promise<number> {
    const genie = other(
      dataDir,
      holding
        .replace("COMMAND", JSON.stringify(command))
        .replace("ENV", JSON.stringify(env)),
    );
    const pid = Number(await line(genie));
    genie.kill("SIGKILL");
    await genie.exited;
    return pid;
  }

  test("takes it at once when nothing of it is left", async () => {
    using at = node();
    const pid = await orphaned(at.dataDir, ["true"]);
    await until(() => !isRunning(pid), "the end of the delegate");
    const lock = await at.lock(noPause);
    lock.release();
    expect(existsSync(at.path)).toBe(false);
  });

  test.each<[string, string[], object]>([
    ["an orphan", ["sleep", "60"], {}],
    [
      "an orphan with a child",
      ["sh", "-c", "sleep 60 & wait"],
      { GENIE_CONTAINER: "c1" },
    ],
    [
      "an orphan of the same program, which is no waiting genie",
      [process.execPath, "-e", "await Bun.sleep(60000)"],
      { GENIE_CONTAINER: "c1" },
    ],
  ])("kills %s and goes on", async (_, command, env) => {
    using at = node();
    const pid = await orphaned(at.dataDir, command, env);
    const before = isRunning(pid);
    const lock = await at.lock();
    await until(() => !isRunning(pid), "the end of the orphan");
    expect([before, fstatSync(lock.fd).ino]).toEqual([
      true,
      statSync(at.path).ino,
    ]);
    lock.release();
  });

  test("lets several genies that wait through, one after the other, and kills none of them", async () => {
    using at = node();
    const pid = await orphaned(at.dataDir, ["sleep", "60"]);
    const waiting = Array.from({ length: 4 }, () =>
      other(at.dataDir, `(await lock()).release(); console.log("through");`),
    );
    const ends = await Promise.all(
      waiting.map(async (genie) => [
        await genie.stdout.text(),
        await genie.exited,
      ]),
    );
    await until(() => !isRunning(pid), "the end of the orphan");
    expect(ends).toEqual(waiting.map(() => ["through\n", 0]));
  });

  /** A lock file in which somebody stands, locked by us and inherited by a delegate; the delegate's fate. */
  async function taken(written: string, ms: number, patienceMs: number) {
    using at = node();
    mkdirSync(`${at.dataDir}/locks`);
    writeFileSync(at.path, written);
    const fd = openSync(at.path, "r+");
    expect(tryLock(fd)).toBe(true);
    // In our own process group: only that process may be killed.
    const delegate = heir(fd, {}, false);
    const { deadline, sleep } = time(ms);
    const failed = await rejection(at.lock(sleep, deadline));
    const killed =
      delegate.killed ||
      (await Promise.race([delegate.exited, Bun.sleep(patienceMs)])) !==
        undefined;
    delegate.kill("SIGKILL");
    await delegate.exited;
    closeSync(fd);
    return { failed, killed };
  }

  const startTime = (pid: number) => {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  };

  test.each<[string, string, number, boolean]>([
    [
      "a dead process stands there, but who took it may be about to write",
      "999999999 1",
      900,
      false,
    ],
    ["a dead process stands there for long", "999999999 1", 2500, true],
    [
      "the number there is another process's by now",
      `${process.pid} 1`,
      2500,
      true,
    ],
    [
      "who took it stands there under the number of another pid namespace",
      `7 ${startTime(process.pid)}`,
      2500,
      false,
    ],
    ["nobody stands there", "", 2500, false],
    ["garbage stands there", "garbage", 2500, false],
  ])("when %s: kills its orphans: %#", async (_, written, ms, expected) => {
    // A busy machine takes its time to end what is killed.
    const patienceMs = expected ? 10_000 : 100;
    const { failed, killed } = await taken(written, ms, patienceMs);
    expect([failed, killed]).toEqual([
      expect.objectContaining({ code: 11 }),
      expected,
    ]);
  });

  test("a lock without an owner, as the disk was full: its orphan is killed", async () => {
    using at = node();
    const pid = await orphaned(at.dataDir, ["sleep", "60"]);
    writeFileSync(at.path, "");
    const lock = await at.lock();
    expect(isRunning(pid)).toBe(false);
    lock.release();
  });

  /** As a disk that became read-only because of an error: files stay open for writing. */
  function makeReadOnly(dataDir: string): Disposable {
    const mount = (...args: string[]) =>
      expect(Bun.spawnSync(["mount", ...args]).exitCode).toBe(0);
    mount("--bind", dataDir, dataDir);
    mount("-o", "remount,bind,ro", dataDir);
    return {
      [Symbol.dispose]: () => void Bun.spawnSync(["umount", "-l", dataDir]),
    };
  }

  test("the disk became read-only since: its orphan is killed", async () => {
    using at = node();
    const pid = await orphaned(at.dataDir, ["sleep", "60"]);
    using _ = makeReadOnly(at.dataDir);
    const lock = await at.lock();
    await until(() => !isRunning(pid), "the end of the orphan");
    lock.release();
    expect(existsSync(at.path)).toBe(true);
  });

  test("the disk became read-only since: a genie that waits kills no other, which cannot write itself down", async () => {
    using at = node();
    const pid = await orphaned(at.dataDir, ["true"]);
    await until(() => !isRunning(pid), "the end of the delegate");
    using _ = makeReadOnly(at.dataDir);
    const living = other(
      at.dataDir,
      `await lock(); console.log("locked"); await Bun.stdin.text();`,
    );
    expect(await line(living)).toBe("locked");
    const { deadline, sleep } = time(2500);
    expect(await rejection(at.lock(sleep, deadline))).toEqual(
      cniError(11, expect.stringContaining(`(process ${living.pid})`)),
    );
    expect(isRunning(living.pid)).toBe(true);
    living.kill("SIGKILL");
    await living.exited;
  });

  test.each([
    ["the file, of a mount that is gone,", true],
    ["the directory", false],
  ])(
    "the disk was read-only then: its orphan has %s and is killed",
    async (_, hasFile) => {
      using at = node();
      mkdirSync(`${at.dataDir}/locks`, { mode: 0o700 });
      if (hasFile) writeFileSync(at.path, "");
      const mounted = makeReadOnly(at.dataDir);
      const pid = await orphaned(at.dataDir, ["sleep", "60"]);
      mounted[Symbol.dispose]();
      const lock = await at.lock();
      await until(() => !isRunning(pid), "the end of the orphan");
      expect(fstatSync(lock.fd).ino).toBe(statSync(at.path).ino);
      lock.release();
    },
  );

  test("the disk was read-only then: a living genie keeps the directory, and all wait", async () => {
    using at = node();
    mkdirSync(`${at.dataDir}/locks`, { mode: 0o700 });
    const mounted = makeReadOnly(at.dataDir);
    const living = other(
      at.dataDir,
      `await lock(); console.log("locked"); await Bun.stdin.text();`,
    );
    expect(await line(living)).toBe("locked");
    mounted[Symbol.dispose]();
    const { deadline, sleep } = time(2500);
    expect(await rejection(at.lock(sleep, deadline))).toEqual(
      cniError(11, expect.stringContaining(`(process ${living.pid})`)),
    );
    living.kill("SIGKILL");
    await living.exited;
    (await at.lock()).release();
  });

  test("the disk has no inode for the file: the directory is locked, and the next one waits for it", async () => {
    using at = node();
    await using disk = await smallDisk(at.dataDir);
    (await at.lock()).release();
    const names = disk.fillNames();
    const lock = await at.lock(noPause);
    expect(fstatSync(lock.fd).ino).toBe(statSync(`${at.dataDir}/locks`).ino);
    names[Symbol.dispose]();
    const { deadline, sleep, pauses } = time(60_000, (count) => {
      if (count === 2) lock.release();
    });
    const next = await at.lock(sleep, deadline);
    expect([pauses.length, fstatSync(next.fd).ino]).toEqual([
      2,
      statSync(at.path).ino,
    ]);
    next.release();
  });

  test("the lock of another disk, with the same name and inode, is left alone", async () => {
    using disks = temporaryDirectory();
    const [a, b] = [`${disks.path}/a`, `${disks.path}/b`];
    await using first = await smallDisk(a);
    await using second = await smallDisk(b);
    const elsewhere = await orphaned(b, ["sleep", "60"]);
    const pid = await orphaned(a, ["sleep", "60"]);
    const inodes = [a, b].map((disk) => statSync(`${disk}/locks/c1`).ino);
    const lock = await lockContainer(locking(a), "c1", minute());
    expect([
      inodes[0] === inodes[1],
      isRunning(pid),
      isRunning(elsewhere),
    ]).toEqual([true, false, true]);
    lock.release();
    process.kill(elsewhere, "SIGKILL");
    await until(() => !isRunning(elsewhere), "its end");
    void [first, second];
  });

  test("a process that merely has the file open is left alone", async () => {
    using at = node();
    const pid = await orphaned(at.dataDir, ["sleep", "60"]);
    const readers = ["<", "<>"].map((opened) =>
      Bun.spawn(["sh", "-c", `exec 9${opened}${at.path}; exec sleep 60`], {
        env: { PATH: process.env["PATH"], GENIE_CONTAINER: "c1" },
        detached: true,
      }),
    );
    await until(
      () => readers.every((reader) => existsSync(`/proc/${reader.pid}/fd/9`)),
      "the readers",
    );
    const lock = await at.lock();
    expect(
      [pid, ...readers.map((reader) => reader.pid)].map(isRunning),
    ).toEqual([false, true, true]);
    lock.release();
    for (const reader of readers) reader.kill("SIGKILL");
  });

  const leaderOnly = (env: string) =>
    ["env", ...(env === "" ? [] : [env]), "sh", "-c", apart] as const;
  /** The child alone holds the lock, the leader of its group goes on without it. */
  const apart = `sleep 60 & exec 3>&-; wait; exec sleep 60`;

  test.each<[string, readonly string[], boolean]>([
    ["a delegate of this container", leaderOnly("GENIE_CONTAINER=c1"), false],
    ["a delegate of another one", leaderOnly("GENIE_CONTAINER=c11"), true],
    ["no delegate", leaderOnly(""), true],
    [
      "no leader of a session",
      [
        process.execPath,
        "-e",
        `const child = Bun.spawn(["perl", "-e", "setpgrp; exec @ARGV", "sh", "-c", ${JSON.stringify(apart)}],
           { env: {...process.env, GENIE_CONTAINER: "c1"}, stdio: ["ignore", "inherit", "ignore", 3] });
         await Bun.write(${JSON.stringify("PIDFILE")}, String(child.pid));
         process.exit(0);`,
      ],
      true,
    ],
  ])("the leader of an orphan's group is %s", async (_, command, survives) => {
    using at = node();
    const pidFile = `${at.dataDir}/pid`;
    const first = await orphaned(
      at.dataDir,
      command.map((word) => word.replace("PIDFILE", pidFile)),
    );
    const isIndirect = command.some((word) => word.includes("PIDFILE"));
    const written = () =>
      existsSync(pidFile) ? Number(readFileSync(pidFile, "utf8")) : 0;
    if (isIndirect) await until(() => written() > 0, "the leader");
    const leader = isIndirect ? written() : first;
    await until(
      () => !existsSync(`/proc/${leader}/fd/3`) && isRunning(leader),
      "the leader without the lock",
    );
    const lock = await at.lock();
    await until(() => isRunning(leader) === survives, "its end or not");
    expect(isRunning(leader)).toBe(survives);
    lock.release();
    if (survives) process.kill(leader, "SIGKILL");
  });
});

test("lockContainer, with twenty processes, is owned by one at a time", async () => {
  using at = node();
  const counter = `${at.dataDir}/counter`;
  writeFileSync(counter, "0");
  const text = `
    import { readFileSync, writeFileSync } from "node:fs";
    for (let i = 0; i < 5; i++) {
      const held = await lock();
      const count = Number(readFileSync(${JSON.stringify(counter)}, "utf8"));
      await Bun.sleep(1);
      writeFileSync(${JSON.stringify(counter)}, String(count + 1));
      held.release();
    }`;
  const children = Array.from({ length: 20 }, () => other(at.dataDir, text));
  const codes = await Promise.all(children.map(({ exited }) => exited));
  expect([codes, readFileSync(counter, "utf8"), existsSync(at.path)]).toEqual([
    children.map(() => 0),
    "100",
    false,
  ]);
}, 60_000);

test("lockIfLeft, of a file that a killed genie left: locked, and removed by the release", async () => {
  using at = node();
  expect(lockIfLeft(at.path)).toBeUndefined();
  const owned = await at.lock();
  expect(lockIfLeft(at.path)).toBeUndefined();
  owned.release();
  writeFileSync(at.path, "1 1");
  const lock = lockIfLeft(at.path);
  expect(lock).toBeDefined();
  expect(lockIfLeft(at.path)).toBeUndefined();
  lock?.release();
  expect(existsSync(at.path)).toBe(false);
});
