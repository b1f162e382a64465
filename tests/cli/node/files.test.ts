import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { sameContent } from "../../../lib/cli/install/executable.ts";
import { Host } from "../../../lib/cli/node/host.ts";
import {
  type FileKind,
  putExecutable,
  putText,
} from "../../../lib/cli/node/replace-file.ts";
import { readTextIfAny } from "../../../lib/cli/node/read-file.ts";
import { temporaryDirectory } from "../../support/delegate.ts";

describe("Host", () => {
  test.each<[path: string, expected: string]>([
    ["/etc/cni/net.d", "/etc/cni/net.d"],
    ["/", ""],
    ["/var/run/crio/crio.sock", "/run/crio/crio.sock"],
    ["/opt/cni/bin", "/usr/lib/cni"],
    ["/out", "/etc"],
    ["/etc/../../etc", "/etc"],
    ["/not/there", "/not/there"],
  ])("%s, is %s below the root", (path, expected) => {
    using directory = temporaryDirectory();
    const root = directory.path;
    for (const made of [
      "etc/cni/net.d",
      "run/crio",
      "var",
      "opt/cni",
      "usr/lib/cni",
    ])
      mkdirSync(join(root, made), { recursive: true });
    symlinkSync("/run", join(root, "var/run"));
    symlinkSync("../../usr/lib/cni", join(root, "opt/cni/bin"));
    symlinkSync("../../../../etc", join(root, "out"));
    expect(new Host(root).path(path)).toBe(root + expected);
  });

  test("links in a circle, an error", () => {
    using directory = temporaryDirectory();
    symlinkSync("/b", join(directory.path, "a"));
    symlinkSync("/a", join(directory.path, "b"));
    expect(() => new Host(directory.path).path("/a/x")).toThrow(
      "too many symbolic links in /a/x",
    );
  });

  test("our own root, paths are as they are, targets follow links", () => {
    using directory = temporaryDirectory();
    symlinkSync("b", join(directory.path, "a"));
    expect(new Host().path(join(directory.path, "a"))).toBe(
      join(directory.path, "a"),
    );
    expect(new Host().target(join(directory.path, "a"))).toBe(
      join(directory.path, "b"),
    );
    expect(new Host().target("/")).toBe("/");
    expect(() => new Host("host")).toThrow(
      'root: expected an absolute path, got "host"',
    );
  });
});

test("a read-only file system, is the reason that is given", () => {
  using directory = temporaryDirectory();
  writeFileSync(join(directory.path, "source"), "new");
  const script = `
    import { putExecutable, putText, removePath } from ${JSON.stringify(resolve("lib/cli/node/replace-file.ts"))};
    removePath("missing");
    const works = [
      () => putText("a", "text", { mode: 0o600 }),
      () => putExecutable("b", "source", () => Promise.resolve()),
    ];
    for (const work of works)
      await Promise.try(work).catch((error) => console.log(error.message));
  `;
  const { stdout, stderr } = Bun.spawnSync([
    "unshare",
    "--mount",
    "sh",
    "-ec",
    `mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"; cd "$1"; exec "$2" --eval "$3"`,
    "sh",
    directory.path,
    process.execPath,
    script,
  ]);
  expect([String(stdout), String(stderr)]).toEqual([
    'failed to write "a": read-only file system\nfailed to write "b": read-only file system\n',
    "",
  ]);
});

describe("putText", () => {
  test("a file, is written once, with its mode, and nothing else is left", () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "00-a.conflist");
    expect([
      putText(path, "a", { mode: 0o600 }),
      putText(path, "a", { mode: 0o600 }),
      putText(path, "b", { mode: 0o600 }),
    ]).toEqual([true, false, true]);
    expect({
      text: readTextIfAny(path),
      mode: statSync(path).mode & 0o777,
      files: readdirSync(directory.path),
    }).toEqual({
      text: "b",
      mode: 0o600,
      files: ["00-a.conflist"],
    });
  });

  test.each<
    [
      what: string,
      kind: FileKind,
      mode: number,
      text: string,
      expected: { written: boolean; mode: number },
    ]
  >([
    [
      "a changed file, keeps the mode that somebody gave it",
      { mode: 0o600 },
      0o640,
      "b",
      { written: true, mode: 0o640 },
    ],
    [
      "an unchanged file, keeps it too",
      { mode: 0o600 },
      0o644,
      "a",
      { written: false, mode: 0o644 },
    ],
    [
      "a secret that others can read, is closed to them",
      { mode: 0o600, secret: true },
      0o644,
      "a",
      { written: true, mode: 0o640 },
    ],
    [
      "a changed secret, is closed to them too",
      { mode: 0o600, secret: true },
      0o646,
      "b",
      { written: true, mode: 0o640 },
    ],
  ])("%s", (_, kind, mode, text, expected) => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "a");
    writeFileSync(path, "a");
    chmodSync(path, mode);
    chownSync(path, 12, 34);
    expect({
      written: putText(path, text, kind),
      mode: statSync(path).mode & 0o777,
    }).toEqual(expected);
    const { uid, gid } = statSync(path);
    expect([readTextIfAny(path), uid, gid]).toEqual([text, 12, 34]);
  });

  test("files of a killed install, are removed", () => {
    using directory = temporaryDirectory();
    const left = join(directory.path, ".token.0000000a.tmp");
    writeFileSync(left, "secret");
    utimesSync(left, 0, 0);
    putText(join(directory.path, "token"), "t", { mode: 0o600 });
    expect(readdirSync(directory.path)).toEqual(["token"]);
  });
});

describe("readTextIfAny", () => {
  test.each<[what: string, make: (path: string) => void, error: RegExp]>([
    ["a FIFO", (path) => Bun.spawnSync(["mkfifo", path]), /not a regular file/],
    [
      "a device",
      (path) => symlinkSync("/dev/zero", path),
      /not a regular file/,
    ],
    ["a directory", (path) => mkdirSync(path), /is a directory/],
    [
      "a link to itself",
      (path) => symlinkSync(path, path),
      /too many levels of symbolic links/,
    ],
  ])("%s, an error at once", (_, make, error) => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "a");
    make(path);
    expect(() => readTextIfAny(path)).toThrow(error);
  });

  test("no such file, undefined", () => {
    expect(readTextIfAny("/nowhere/a")).toBeUndefined();
    expect(readTextIfAny("/etc/passwd/a")).toBeUndefined();
  });
});

describe("putExecutable", () => {
  test("a check that fails, the former file stays and the copy is removed", async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "genie");
    writeFileSync(path, "former");
    writeFileSync(join(directory.path, "source"), "new");
    const put = putExecutable(
      path,
      join(directory.path, "source"),
      async (copy) => {
        expect({
          text: readFileSync(copy, "utf8"),
          mode: statSync(copy).mode & 0o777,
        }).toEqual({ text: "new", mode: 0o755 });
        await Promise.reject(new Error("broken"));
      },
    );
    expect(await put.catch((error: unknown) => error)).toEqual(
      new Error("broken"),
    );
    expect([
      readFileSync(path, "utf8"),
      readdirSync(directory.path).toSorted(),
    ]).toEqual(["former", ["genie", "source"]]);
  });
});

describe("sameContent", () => {
  test.each<[a: string, b: string | undefined, expected: boolean]>([
    ["abc", "abc", true],
    ["abc", "abd", false],
    ["abc", "abcd", false],
    ["", "", true],
    [`${"x".repeat(3 << 20)}a`, `${"x".repeat(3 << 20)}b`, false],
    ["abc", undefined, false],
  ])("files, case %#", (a, b, expected) => {
    using directory = temporaryDirectory();
    writeFileSync(join(directory.path, "a"), a);
    if (b !== undefined) writeFileSync(join(directory.path, "b"), b);
    expect(
      sameContent(join(directory.path, "a"), join(directory.path, "b")),
    ).toBe(expected);
  });
});
