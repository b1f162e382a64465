import { describe, expect, test } from "bun:test";
import {
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { sameContent } from "../../lib/commands/binary.ts";
import { Host } from "../../lib/commands/host.ts";
import { putExecutable, putText, textOf } from "../../lib/commands/put.ts";
import { temporaryFolder } from "../support/delegate.ts";

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
    using folder = temporaryFolder();
    const root = folder.path;
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
    using folder = temporaryFolder();
    symlinkSync("/b", join(folder.path, "a"));
    symlinkSync("/a", join(folder.path, "b"));
    expect(() => new Host(folder.path).path("/a/x")).toThrow(
      "too many symbolic links in /a/x",
    );
  });

  test("our own root, paths are as they are", () => {
    expect(new Host().path("/var/run")).toBe("/var/run");
    expect(() => new Host("host")).toThrow('root "host" is no absolute path');
  });
});

describe("putText", () => {
  test("a file, is written once, with its mode, and nothing else is left", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "00-a.conflist");
    expect([
      putText(path, "a", 0o600),
      putText(path, "a", 0o600),
      putText(path, "b", 0o600),
    ]).toEqual([true, false, true]);
    expect({
      text: textOf(path),
      mode: statSync(path).mode & 0o777,
      files: readdirSync(folder.path),
    }).toEqual({
      text: "b",
      mode: 0o600,
      files: ["00-a.conflist"],
    });
  });

  test("another mode, is corrected", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "a");
    writeFileSync(path, "a", { mode: 0o644 });
    expect([putText(path, "a", 0o600), statSync(path).mode & 0o777]).toEqual([
      true,
      0o600,
    ]);
  });
});

describe("putExecutable", () => {
  test("a check that fails, the former file stays and the copy is removed", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "genie");
    writeFileSync(path, "former");
    writeFileSync(join(folder.path, "source"), "new");
    const put = putExecutable(
      path,
      join(folder.path, "source"),
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
      readdirSync(folder.path).toSorted(),
    ]).toEqual(["former", ["genie", "source"]]);
  });

  test("copies of an install that was killed, are removed; those of one that runs are not", async () => {
    using folder = temporaryFolder();
    const file = (name: string) => join(folder.path, name);
    for (const name of [
      ".genie.0000000a.tmp",
      ".genie.0000000b.tmp",
      ".genie.keep",
      "source",
    ])
      writeFileSync(file(name), "");
    utimesSync(file(".genie.0000000a.tmp"), 0, 0);
    utimesSync(file(".genie.keep"), 0, 0);
    await putExecutable(file("genie"), file("source"), () => Promise.resolve());
    expect(readdirSync(folder.path).toSorted()).toEqual([
      ".genie.0000000b.tmp",
      ".genie.keep",
      "genie",
      "source",
    ]);
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
    using folder = temporaryFolder();
    writeFileSync(join(folder.path, "a"), a);
    if (b !== undefined) writeFileSync(join(folder.path, "b"), b);
    expect(sameContent(join(folder.path, "a"), join(folder.path, "b"))).toBe(
      expected,
    );
  });
});
