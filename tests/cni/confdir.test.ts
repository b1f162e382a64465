/** R-LD-1, R-LD-2, R-LD-5 of cni-runtime.md and the candidates of selection.md §4. */
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  symlinkSync,
} from "node:fs";
import { describe, expect, test } from "bun:test";
import {
  type ConfFile,
  listConfDir,
  readConfDir,
  readConfFile,
} from "../../lib/cni/confdir.ts";
import { cniError } from "../support/cni-error.ts";
import { temporaryDirectory, writeFiles } from "../support/delegate.ts";

const conf = { cniVersion: "1.0.0", name: "n", type: "bridge" };
const listOf = (name: string, ...types: string[]) => ({
  cniVersion: "1.0.0",
  name,
  plugins: types.map((type) => ({ type })),
});

/** The networks of a directory with these files. */
function read(
  files: Readonly<Record<string, unknown>>,
  prepare: (directory: string) => void = () => {},
): ConfFile[] {
  using directory = temporaryDirectory();
  writeFiles(directory.path, files);
  prepare(directory.path);
  return readConfDir(directory.path);
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

  test("does not take a directory for a file", () => {
    expect(
      read({}, (directory) => {
        mkdirSync(`${directory}/10-a.conf`);
        mkdirSync(`${directory}/target`);
        symlinkSync(`${directory}/target`, `${directory}/20-b.conflist`);
      }),
    ).toEqual([]);
  });

  test("follows a symbolic link to a file", () => {
    const found = read({ "real.txt": conf }, (directory) =>
      symlinkSync("real.txt", `${directory}/10-a.conf`),
    );
    expect(found.map((file) => [file.file, types(file)])).toEqual([
      ["10-a.conf", ["bridge"]],
    ]);
  });

  test("finds nothing in a directory that is missing", () => {
    expect(readConfDir("/nonexistent/net.d")).toEqual([]);
    expect(readConfDir("/dev/null/net.d")).toEqual([]);
  });

  test("fails on a directory that cannot be read", () => {
    using directory = temporaryDirectory();
    symlinkSync("loop", `${directory.path}/loop`);
    expect(() => readConfDir(`${directory.path}/loop`)).toThrow(
      expect.objectContaining({
        code: 5,
        message: `failed to read directory ${directory.path}/loop: too many levels of symbolic links`,
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
        "error parsing configuration list: expected an object, got an array",
      ],
    ]);
  });

  test("says why a dangling link is invalid", () => {
    expect(
      read({}, (directory) => symlinkSync("missing", `${directory}/a.conf`)),
    ).toEqual([
      {
        file: "a.conf",
        problem: "failed to read file: no such file or directory",
      },
    ]);
  });

  test("does not wait for a FIFO, whether somebody writes to it or not", () => {
    using directory = temporaryDirectory();
    writeFiles(directory.path, { "b.conf": conf });
    const fifo = `${directory.path}/a.conf`;
    expect(Bun.spawnSync(["mkfifo", fifo]).exitCode).toBe(0);
    const idle = readConfDir(directory.path);
    const writer = openSync(fifo, constants.O_RDWR);
    try {
      const open = readConfDir(directory.path);
      expect([idle, open].map((files) => files.map(types))).toEqual([
        [undefined, ["bridge"]],
        [undefined, ["bridge"]],
      ]);
    } finally {
      closeSync(writer);
    }
  });

  test("a device is invalid: not a regular file", () => {
    using directory = temporaryDirectory();
    writeFiles(directory.path, { "b.conf": conf });
    symlinkSync("/dev/zero", `${directory.path}/a.conf`);
    symlinkSync("/dev/full", `${directory.path}/c.conflist`);
    const notRegular = "failed to read file: not a regular file";
    expect(
      readConfDir(directory.path).map(({ file, problem }) => [file, problem]),
    ).toEqual([
      ["a.conf", notRegular],
      ["b.conf", undefined],
      ["c.conflist", notRegular],
    ]);
  });

  test("reads files of at most 1 MiB", () => {
    const text = JSON.stringify({ ...conf, pad: "" });
    const padded = (bytes: number) =>
      text.replace(/"}$/, `${"x".repeat(bytes - text.length)}"}`);
    const found = read({
      "a.conf": padded(1 << 20),
      "b.conf": padded((1 << 20) + 1),
    });
    expect(found.map(({ file, problem }) => [file, problem])).toEqual([
      ["a.conf", undefined],
      ["b.conf", "failed to read file: larger than 1048576 bytes"],
    ]);
  });

  test("is invalid with more than 32 plugins, those of the directory included", () => {
    const plugins = Array.from({ length: 30 }, () => "tuning");
    const files = (count: number) =>
      Object.fromEntries(
        Array.from({ length: count }, (_, i) => [
          `net/${100 + i}.conf`,
          { type: "portmap" },
        ]),
      );
    const list = listOf("net", ...plugins);
    expect(read({ "a.conflist": list, ...files(2) })[0]?.problem).toBe(
      undefined,
    );
    expect(read({ "a.conflist": list, ...files(3) })[0]?.problem).toBe(
      "more than 32 plugins",
    );
    expect(read({ "a.conflist": list, ...files(50) })[0]?.problem).toBe(
      "more than 32 plugins",
    );
    const alone = { name: "net" };
    expect(types(read({ "a.conflist": alone, ...files(32) })[0])).toHaveLength(
      32,
    );
    expect(read({ "a.conflist": alone, ...files(33) })[0]?.problem).toBe(
      "more than 32 plugins",
    );
  });

  test("appends the plugins of the network's directory, sorted", () => {
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

  test("takes a network from its directory alone", () => {
    const [found] = read({
      "a.conflist": { name: "net" },
      "net/a.conf": { type: "bridge" },
    });
    expect(types(found)).toEqual(["bridge"]);
  });

  test("does not look into the directory when only inlined plugins count", () => {
    const [found] = read({
      "a.conflist": {
        ...listOf("net", "bridge"),
        loadOnlyInlinedPlugins: true,
      },
      "net/a.conf": "garbage",
    });
    expect(types(found)).toEqual(["bridge"]);
  });

  test("is invalid with an invalid plugin in its directory", () => {
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
    "does not leave the directory for a network called %p",
    (name) => {
      using directory = temporaryDirectory();
      writeFiles(directory.path, {
        "b.conf": { type: "evil" },
        "sub/x/b.conf": { type: "evil" },
        "net.d/a.conflist": listOf(name, "bridge"),
        "net.d/a.conf": { type: "beside" },
        "net.d/sub/x/b.conf": { type: "evil" },
      });
      const found = readConfDir(`${directory.path}/net.d`);
      expect(found.map((file) => [file.file, types(file)])).toEqual([
        ["a.conf", ["beside"]],
        ["a.conflist", ["bridge"]],
      ]);
    },
  );
});

describe("listConfDir and readConfFile", () => {
  test("list names without reading, and read one", () => {
    using directory = temporaryDirectory();
    writeFiles(directory.path, { "b.conf": conf, "a.conf": "{", "c.txt": "" });
    mkdirSync(`${directory.path}/d.conf`);
    expect(listConfDir(directory.path)).toEqual(["a.conf", "b.conf", "d.conf"]);
    expect(readConfFile(directory.path, "b.conf")?.list?.name).toBe("n");
    expect(readConfFile(directory.path, "d.conf")).toBeUndefined();
    expect(readConfFile(directory.path, "gone.conf")?.problem).toBe(
      "failed to read file: no such file or directory",
    );
  });

  test("of a file: 5, it is not a directory", () => {
    expect(() => listConfDir("/dev/null")).toThrow(
      cniError(5, "failed to read directory /dev/null: not a directory"),
    );
  });
});
