/** R-LD-1, R-LD-2, R-LD-5 of cni-runtime.md and the candidates of selection.md §4. */
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  symlinkSync,
} from "node:fs";
import { describe, expect, test } from "bun:test";
import { type ConfFile, readConfDir } from "../../lib/cni/confdir.ts";
import { temporaryFolder, writeFiles } from "../support/delegate.ts";

const conf = { cniVersion: "1.0.0", name: "n", type: "bridge" };
const listOf = (name: string, ...types: string[]) => ({
  cniVersion: "1.0.0",
  name,
  plugins: types.map((type) => ({ type })),
});

/** What a folder with these files holds. */
function read(
  files: Readonly<Record<string, unknown>>,
  prepare: (folder: string) => void = () => {},
): ConfFile[] {
  using folder = temporaryFolder();
  writeFiles(folder.path, files);
  prepare(folder.path);
  return readConfDir(folder.path);
}

const names = (files: ConfFile[]) => files.map(({ file }) => file);
const types = (file: ConfFile | undefined) =>
  file?.list?.plugins.map(({ type }) => type);

describe("readConfDir", () => {
  test("gives file and configuration", () => {
    expect(read({ "10-n.conf": conf })).toEqual([
      {
        file: "10-n.conf",
        list: {
          name: "n",
          cniVersion: "1.0.0",
          disableCheck: false,
          disableGC: false,
          loadOnlyInlinedPlugins: true,
          plugins: [conf],
        },
      },
    ]);
  });

  test("takes the files with the three endings, nothing else", () => {
    const files = {
      "a.conf": conf,
      "b.conflist": listOf("n", "bridge"),
      "c.json": conf,
      "d.conf.bak": conf,
      "e.CONF": conf,
      "f.yaml": "x",
      conf: conf,
      ".conf": conf,
      ".hidden.conf": conf,
      ".conflist": conf,
      "h.conf~": conf,
      "j.jsonl": conf,
    };
    expect(names(read(files))).toEqual(["a.conf", "b.conflist", "c.json"]);
  });

  test("sorts by bytes", () => {
    // 2d - 2e . 30 digits 41 upper 5f _ 61 lower, then what is not ASCII
    const sorted = [
      "-z.conf",
      "00-z.conf",
      "000-a.conf",
      "10-b.conf",
      "9-a.conf",
      "A.conf",
      "Z.json",
      "_a.conf",
      "a-b.conf",
      "a.conf",
      "a0.conf",
      "aB.conf",
      "ab.conf",
      "é.conf",
      "\u{ffee}.conf",
      "\u{1f600}.conf",
    ];
    const files = Object.fromEntries(
      sorted.toReversed().map((file) => [file, conf]),
    );
    expect(names(read(files))).toEqual(sorted);
  });

  test("does not take a folder for a file", () => {
    expect(
      read({}, (folder) => {
        mkdirSync(`${folder}/10-a.conf`);
        mkdirSync(`${folder}/target`);
        symlinkSync(`${folder}/target`, `${folder}/20-b.conflist`);
      }),
    ).toEqual([]);
  });

  test("follows a symbolic link to a file", () => {
    const found = read({ "real.txt": conf }, (folder) =>
      symlinkSync("real.txt", `${folder}/10-a.conf`),
    );
    expect(found.map((file) => [file.file, types(file)])).toEqual([
      ["10-a.conf", ["bridge"]],
    ]);
  });

  test("finds nothing in a folder that is missing", () => {
    expect(readConfDir("/nonexistent/net.d")).toEqual([]);
    expect(readConfDir("/dev/null/net.d")).toEqual([]);
  });

  test("fails on a folder that cannot be read", () => {
    using folder = temporaryFolder();
    symlinkSync("loop", `${folder.path}/loop`);
    expect(() => readConfDir(`${folder.path}/loop`)).toThrow(
      expect.objectContaining({
        code: 5,
        message: `failed to read folder ${folder.path}/loop: too many levels of symbolic links`,
      }),
    );
  });

  test.each<[string, string, unknown, string]>([
    [
      "an empty file",
      "a.conf",
      "",
      "error parsing configuration: unexpected end of JSON input at line 1, column 1",
    ],
    [
      "an empty list",
      "a.conflist",
      "",
      "error parsing configuration list: unexpected end of JSON input at line 1, column 1",
    ],
    [
      "no JSON",
      "a.json",
      "{,}",
      "error parsing configuration: invalid character ',' looking for beginning of object key string at line 1, column 2",
    ],
    [
      "two values",
      "a.conf",
      "{}{}",
      "error parsing configuration: invalid character '{' after top-level value at line 1, column 3",
    ],
    [
      "a byte order mark",
      "a.conf",
      `\ufeff${JSON.stringify(conf)}`,
      "error parsing configuration: invalid character 'ï' looking for beginning of value at line 1, column 1",
    ],
    [
      "a list in a .conf",
      "a.conf",
      listOf("n", "bridge"),
      "error parsing configuration: missing 'type'",
    ],
    ["a plugin in a .conflist", "a.conflist", conf, "no plugin configs found"],
    [
      "a list without plugins",
      "a.conflist",
      { name: "n" },
      "no plugin configs found",
    ],
    [
      "a list with none",
      "a.conflist",
      { name: "n", plugins: [] },
      "error parsing configuration list: no plugins in list",
    ],
  ])("says why %s is invalid", (_, file, content, problem) => {
    expect(read({ [file]: content })).toEqual([{ file, problem }]);
  });

  test("goes on after an invalid file", () => {
    const found = read({ "1.conf": "{", "2.conf": conf, "3.conflist": "[]" });
    expect(found.map(({ file, problem }) => [file, problem])).toEqual([
      [
        "1.conf",
        "error parsing configuration: unexpected end of JSON input at line 1, column 2",
      ],
      ["2.conf", undefined],
      [
        "3.conflist",
        "error parsing configuration list: expected an object, got []interface {}",
      ],
    ]);
  });

  test("says why a dangling link is invalid", () => {
    expect(
      read({}, (folder) => symlinkSync("missing", `${folder}/a.conf`)),
    ).toEqual([
      {
        file: "a.conf",
        problem: "failed to read file: no such file or directory",
      },
    ]);
  });

  test("does not wait for a FIFO, whether somebody writes to it or not", () => {
    using folder = temporaryFolder();
    writeFiles(folder.path, { "b.conf": conf });
    const fifo = `${folder.path}/a.conf`;
    expect(Bun.spawnSync(["mkfifo", fifo]).exitCode).toBe(0);
    const idle = readConfDir(folder.path);
    const writer = openSync(fifo, constants.O_RDWR);
    try {
      const open = readConfDir(folder.path);
      expect([idle, open].map((files) => files.map(types))).toEqual([
        [undefined, ["bridge"]],
        [undefined, ["bridge"]],
      ]);
    } finally {
      closeSync(writer);
    }
  });

  test("appends the plugins of the network's folder, sorted", () => {
    const [found] = read({
      "a.conflist": listOf("net", "bridge"),
      "net/20-b.conf": { type: "tuning", sysctl: { a: "1" } },
      "net/10-a.conf": { type: "portmap" },
      "net/30-c.json": { type: "json" },
      "net/40-d.conflist": listOf("x", "list"),
      "net/deep.conf/x.conf": { type: "deep" },
      "other/10-a.conf": { type: "other" },
    });
    expect(found?.list?.plugins).toEqual([
      { type: "bridge" },
      { type: "portmap" },
      { type: "tuning", sysctl: { a: "1" } },
    ]);
  });

  test("takes a network from its folder alone", () => {
    const [found] = read({
      "a.conflist": { name: "net" },
      "net/a.conf": { type: "bridge" },
    });
    expect(types(found)).toEqual(["bridge"]);
  });

  test("does not look into the folder when only inlined plugins count", () => {
    const [found] = read({
      "a.conflist": {
        ...listOf("net", "bridge"),
        loadOnlyInlinedPlugins: true,
      },
      "net/a.conf": "garbage",
    });
    expect(types(found)).toEqual(["bridge"]);
  });

  test("is invalid with an invalid plugin in its folder", () => {
    const files = { "a.conflist": listOf("net", "bridge"), "net/a.conf": "{}" };
    expect(read(files)).toEqual([
      {
        file: "a.conflist",
        problem:
          "failed to parse plugin config net/a.conf: error parsing configuration: missing 'type'",
      },
    ]);
  });

  test.each(["", ".", "..", "../sub", "sub/x", "a.conf"])(
    "does not leave the folder for a network called %p",
    (name) => {
      using folder = temporaryFolder();
      writeFiles(folder.path, {
        "b.conf": { type: "evil" },
        "sub/x/b.conf": { type: "evil" },
        "net.d/a.conflist": listOf(name, "bridge"),
        "net.d/a.conf": { type: "beside" },
        "net.d/sub/x/b.conf": { type: "evil" },
      });
      const found = readConfDir(`${folder.path}/net.d`);
      expect(found.map((file) => [file.file, types(file)])).toEqual([
        ["a.conf", ["beside"]],
        ["a.conflist", ["bridge"]],
      ]);
    },
  );
});
