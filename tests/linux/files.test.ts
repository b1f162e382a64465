/** Files and their status; a directory and files that are ours alone (state.md "The record"). */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { describe, expect, test } from "bun:test";
import { descriptorsOpenedNow } from "../support/descriptors.ts";
import {
  UnreadableFile,
  createFile,
  makeDirectory,
  writeFile,
} from "../../lib/linux/files.ts";
import {
  makeOwnDirectory,
  readOwnFileIfAny,
  requireOwnDirectory,
} from "../../lib/linux/own-files.ts";
import {
  Open,
  close,
  listIfAny,
  open,
  statusIfAny,
  write,
} from "../../lib/linux/file-calls.ts";
import { SystemError } from "../../lib/linux/errno.ts";
import { temporaryDirectory, writeFiles } from "../support/delegate.ts";

/** A directory of ours in another. */
function ownDirectory() {
  const directory = temporaryDirectory();
  const data = `${directory.path}/data`;
  const sub = `${data}/sub`;
  mkdirSync(data, { mode: 0o755 });
  mkdirSync(sub, { mode: 0o700 });
  return { data, sub, [Symbol.dispose]: () => directory[Symbol.dispose]() };
}

describe("requireOwnDirectory", () => {
  test("takes directories that only we may write to, and absent ones", () => {
    using at = ownDirectory();
    requireOwnDirectory(at.sub);
    requireOwnDirectory(`${at.data}/absent`);
    requireOwnDirectory(`${at.data}/absent/sub`);
  });

  test("takes a link of the administrator to the upper one", () => {
    using at = ownDirectory();
    symlinkSync(at.data, `${at.data}-link`);
    requireOwnDirectory(`${at.data}-link/sub`);
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
    using at = ownDirectory();
    change(at[which]);
    expect(() => requireOwnDirectory(at.sub)).toThrow(
      expect.objectContaining({
        name: "UnsafeDirectory",
        message: `refusing directory "${at[which]}": ${problem}`,
      }),
    );
  });

  test("refuses a file, and a link to the lower one", () => {
    using at = ownDirectory();
    writeFileSync(`${at.data}/file`, "");
    symlinkSync(at.sub, `${at.data}/link`);
    for (const name of ["file", "link"])
      expect(() => requireOwnDirectory(`${at.data}/${name}`)).toThrow(
        `refusing directory "${at.data}/${name}": it is not a directory`,
      );
  });
});

test.each(["", "/sub"])(
  "requireOwnDirectory, refuses what cannot be looked at: <long>%s",
  (below) => {
    using at = ownDirectory();
    const long = `${at.data}/${"x".repeat(300)}`;
    expect(() => requireOwnDirectory(`${long}${below}`)).toThrow(
      expect.objectContaining({
        name: "UnsafeDirectory",
        message: expect.stringMatching(
          /^refusing directory ".*\/data\/x+…": file name too long$/,
        ),
      }),
    );
  },
);

test("makeOwnDirectory, in a directory that takes none: ENOENT", () => {
  expect(() => makeOwnDirectory("/proc/genie/deep/sub")).toThrow(
    expect.objectContaining({ code: "ENOENT" }),
  );
});

test("makeOwnDirectory, makes both for us alone", () => {
  using directory = temporaryDirectory();
  makeOwnDirectory(`${directory.path}/deep/data/sub`);
  const mode = (path: string) =>
    statSync(`${directory.path}/${path}`).mode & 0o777;
  expect([mode("deep/data/sub"), mode("deep/data"), mode("deep")]).toEqual([
    0o700, 0o700, 0o755,
  ]);
});

test("createFile, replaces a link and leaves its target alone", () => {
  using directory = temporaryDirectory();
  writeFiles(directory.path, { victim: "untouched" });
  const path = `${directory.path}/new`;
  symlinkSync(`${directory.path}/victim`, path);
  const fd = createFile(path, 0o600);
  write(fd, new TextEncoder().encode("text"));
  close(fd);
  expect([
    readFileSync(path, "utf8"),
    readFileSync(`${directory.path}/victim`, "utf8"),
    statSync(path).mode & 0o777,
  ]).toEqual(["text", "untouched", 0o600]);
});

test.each([0o644, 0o600])("writeFile, mode %o whatever the umask", (mode) => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/file`;
  const before = process.umask(0o777);
  try {
    writeFile(path, "text", mode);
  } finally {
    process.umask(before);
  }
  expect([readFileSync(path, "utf8"), statSync(path).mode & 0o777]).toEqual([
    "text",
    mode,
  ]);
});

test("makeDirectory, modes whatever the umask; of one that exists it stays", () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/made/parent/child`;
  const before = process.umask(0o077);
  try {
    makeDirectory(path, 0o750);
    makeDirectory(path, 0o755);
  } finally {
    process.umask(before);
  }
  const modes = [`${directory.path}/made`, `${path}/..`, path].map(
    (one) => statSync(one).mode & 0o777,
  );
  expect(modes).toEqual([0o755, 0o755, 0o750]);
});

describe("readOwnFileIfAny", () => {
  test("reads a regular file, and nothing where there is none", () => {
    using directory = temporaryDirectory();
    writeFiles(directory.path, { file: "text" });
    expect([
      readOwnFileIfAny(`${directory.path}/file`),
      readOwnFileIfAny(`${directory.path}/absent`),
    ]).toEqual(["text", undefined]);
  });

  test("reads as many bytes as are allowed, and no more", () => {
    using directory = temporaryDirectory();
    writeFiles(directory.path, { file: "x".repeat(70_000) });
    const path = `${directory.path}/file`;
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
    using directory = temporaryDirectory();
    const path = `${directory.path}/x`;
    make(path);
    const left = descriptorsOpenedNow();
    expect(() => readOwnFileIfAny(path)).toThrow(
      new UnreadableFile("not a regular file"),
    );
    expect(left()).toEqual([]);
  });

  test("EIO is a damaged file", () => {
    // The address 0 of a process has no memory.
    expect(() => readOwnFileIfAny("/proc/self/mem")).toThrow(
      new UnreadableFile("input/output error"),
    );
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

describe("listIfAny", () => {
  // More than the kernel returns at once; names of one to four bytes for each character.
  const names = Array.from({ length: 3000 }, (_, i) => `${i}-aé€🙂`);

  test("lists every name, however many calls it takes", () => {
    using directory = temporaryDirectory();
    for (const name of names) writeFileSync(`${directory.path}/${name}`, "");
    expect(listIfAny(directory.path).toSorted()).toEqual(names.toSorted());
    expect(listIfAny(directory.path, "99-aé€🙂").toSorted()).toEqual(
      names.filter((name) => name.endsWith("99-aé€🙂")).toSorted(),
    );
  });

  test("replaces what is not UTF-8, in that name alone", () => {
    using directory = temporaryDirectory();
    const invalid = Buffer.concat([
      Buffer.from(`${directory.path}/`),
      Buffer.of(0xe2, 0x82),
    ]);
    writeFileSync(invalid, "");
    writeFileSync(`${directory.path}/next`, "");
    expect(listIfAny(directory.path).toSorted()).toEqual(["next", "\uFFFD"]);
  });

  test.each(["missing", "file/below"])("%s has no names", (name) => {
    using directory = temporaryDirectory();
    writeFileSync(`${directory.path}/file`, "");
    expect(listIfAny(`${directory.path}/${name}`)).toEqual([]);
  });

  test("a file is not a directory", () => {
    expect(() => listIfAny("/dev/null")).toThrow(new SystemError("ENOTDIR"));
  });
});
