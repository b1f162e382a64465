/** state.md "The record": a directory and files that are ours alone. */
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { describe, expect, test } from "bun:test";
import {
  NotAFile,
  createFile,
  makeOwnFolder,
  readOwnFileIfAny,
  requireOwnFolder,
} from "../../lib/linux/files.ts";
import { close, write } from "../../lib/linux/libc.ts";
import { temporaryFolder, writeFiles } from "../support/delegate.ts";

/** A directory of ours in another. */
function ownFolder() {
  const folder = temporaryFolder();
  const data = `${folder.path}/data`;
  const sub = `${data}/sub`;
  mkdirSync(data, { mode: 0o755 });
  mkdirSync(sub, { mode: 0o700 });
  return { data, sub, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

describe("requireOwnFolder", () => {
  test("takes directories that only we may write to, and absent ones", () => {
    using at = ownFolder();
    requireOwnFolder(at.sub);
    requireOwnFolder(`${at.data}/absent`);
    requireOwnFolder(`${at.data}/absent/sub`);
  });

  test("takes a link of the administrator to the upper one", () => {
    using at = ownFolder();
    symlinkSync(at.data, `${at.data}-link`);
    requireOwnFolder(`${at.data}-link/sub`);
  });

  test.each<["data" | "sub", string, (path: string) => void]>(
    (["data", "sub"] as const).flatMap((which) => [
      [
        which,
        "group or others may write to it (mode 0777)",
        (path) => chmodSync(path, 0o777),
      ],
      [
        which,
        "group or others may write to it (mode 0720)",
        (path) => chmodSync(path, 0o720),
      ],
      [
        which,
        "group or others may write to it (mode 1702)",
        (path) => chmodSync(path, 0o1702),
      ],
      [
        which,
        "it belongs to user 1234, expected user 0",
        (path) => chownSync(path, 1234, 0),
      ],
    ]),
  )("refuses %s: %s", (which, problem, change) => {
    using at = ownFolder();
    change(at[which]);
    expect(() => requireOwnFolder(at.sub)).toThrow(
      expect.objectContaining({
        name: "CniError",
        code: 5,
        message: `refusing directory "${at[which]}": ${problem}`,
      }),
    );
  });

  test("refuses a file, and a link to the lower one", () => {
    using at = ownFolder();
    writeFileSync(`${at.data}/file`, "");
    symlinkSync(at.sub, `${at.data}/link`);
    for (const name of ["file", "link"])
      expect(() => requireOwnFolder(`${at.data}/${name}`)).toThrow(
        `refusing directory "${at.data}/${name}": it is not a directory`,
      );
  });
});

test("makeOwnFolder, makes both for us alone", () => {
  using folder = temporaryFolder();
  makeOwnFolder(`${folder.path}/deep/data/sub`);
  const mode = (path: string) =>
    statSync(`${folder.path}/${path}`).mode & 0o777;
  expect([mode("deep/data/sub"), mode("deep/data"), mode("deep")]).toEqual([
    0o700, 0o700, 0o755,
  ]);
});

test("createFile, replaces a link and leaves its target alone", () => {
  using folder = temporaryFolder();
  writeFiles(folder.path, { victim: "untouched" });
  const path = `${folder.path}/new`;
  symlinkSync(`${folder.path}/victim`, path);
  const fd = createFile(path, 0o600);
  write(fd, new TextEncoder().encode("text"));
  close(fd);
  expect([
    readFileSync(path, "utf8"),
    readFileSync(`${folder.path}/victim`, "utf8"),
    statSync(path).mode & 0o777,
  ]).toEqual(["text", "untouched", 0o600]);
});

describe("readOwnFileIfAny", () => {
  test("reads a regular file, and nothing where there is none", () => {
    using folder = temporaryFolder();
    writeFiles(folder.path, { file: "text" });
    expect([
      readOwnFileIfAny(`${folder.path}/file`),
      readOwnFileIfAny(`${folder.path}/absent`),
    ]).toEqual(["text", undefined]);
  });

  test("reads as many bytes as are allowed, and no more", () => {
    using folder = temporaryFolder();
    writeFiles(folder.path, { file: "x".repeat(70_000) });
    const path = `${folder.path}/file`;
    expect(readOwnFileIfAny(path, 70_000)).toHaveLength(70_000);
    expect(() => readOwnFileIfAny(path, 69_999)).toThrow(
      "larger than 69999 bytes",
    );
  });

  test.each<[string, (path: string) => void]>([
    ["a directory", (path) => mkdirSync(path)],
    ["a symbolic link", (path) => symlinkSync("/etc/hostname", path)],
    ["a dangling link", (path) => symlinkSync("/nowhere", path)],
    ["a named pipe", (path) => void Bun.spawnSync({ cmd: ["mkfifo", path] })],
    [
      "an endless device",
      (path) => void Bun.spawnSync({ cmd: ["mknod", path, "c", "1", "5"] }),
    ],
  ])("reads no %s, and keeps no descriptor", (_, make) => {
    using folder = temporaryFolder();
    const path = `${folder.path}/x`;
    make(path);
    const open = () => readdirSync("/proc/self/fd").length;
    const before = open();
    expect(() => readOwnFileIfAny(path)).toThrow(
      new NotAFile("not a regular file"),
    );
    expect(open()).toBe(before);
  });
});
