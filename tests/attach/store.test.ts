/** state.md "The record": the files. */
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { describe, expect, test } from "bun:test";
import { Store } from "../../lib/attach/records.ts";
import { NotAFile, TooLarge } from "../../lib/linux/files.ts";
import { temporaryDirectory, writeFiles } from "../support/delegate.ts";

const name = "c1:eth0";
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
const files = (dataDir: string) =>
  readdirSync(`${dataDir}/attachments`).toSorted();

const digest = (text: string) =>
  new Bun.CryptoHasher("sha256").update(text).digest("hex");

test.each<[string, string, string]>([
  ["c1", "eth0", "c1:eth0"],
  ["a.b_c-d", "net1", "a.b_c-d:net1"],
  ["x".repeat(195), "eth0", `${"x".repeat(195)}:eth0`],
  ["x".repeat(196), "eth0", digest(`${"x".repeat(196)}:eth0`)],
  ["c1", "é".repeat(7), `c1:${"é".repeat(7)}`],
  [
    "x".repeat(190),
    "é".repeat(5),
    digest(`${"x".repeat(190)}:${"é".repeat(5)}`),
  ],
  ["c1", "eth0.result", digest("c1:eth0.result")],
])("Store.nameOf, of %s and %s", (containerId, ifname, expected) => {
  expect(Store.nameOf(containerId, ifname)).toBe(expected);
});

describe("Store", () => {
  test("makes its directory for root alone, and the files too", () => {
    using directory = temporaryDirectory();
    const dataDir = `${directory.path}/deep/data`;
    const store = new Store(dataDir);
    store.write(name, "record", "{}").close();
    store.write(name, "result", "[]").close();
    expect([
      files(dataDir),
      mode(`${dataDir}/attachments`),
      mode(dataDir),
    ]).toEqual([["c1:eth0.json", "c1:eth0.result.json"], "700", "700"]);
    expect(
      files(dataDir).map((file) => mode(`${dataDir}/attachments/${file}`)),
    ).toEqual(["600", "600"]);
  });

  test("gives back what was written, byte by byte", () => {
    using directory = temporaryDirectory();
    const store = new Store(directory.path);
    const text = `{"é":"${"x".repeat(300_000)}"}`;
    store.write(name, "record", text).close();
    store.write(name, "result", "r").close();
    expect([store.read(name, "record"), store.read(name, "result")]).toEqual([
      text,
      "r",
    ]);
  });

  test("replaces a file at once: what has it open still reads the old one", () => {
    using directory = temporaryDirectory();
    const store = new Store(directory.path);
    const path = `${directory.path}/attachments/${name}.json`;
    store.write(name, "record", "old and long").close();
    const before = statSync(path).ino;
    store.write(name, "record", "new").close();
    expect([store.read(name, "record"), statSync(path).ino === before]).toEqual(
      ["new", false],
    );
  });

  test("replaces a file of another mode", () => {
    using directory = temporaryDirectory();
    const store = new Store(directory.path);
    const path = `${directory.path}/attachments/${name}.json`;
    store.write(name, "record", "old").close();
    chmodSync(path, 0o666);
    store.write(name, "record", "new").close();
    expect(mode(path)).toBe("600");
  });

  test("overwrites what a crash left of an earlier try", () => {
    using directory = temporaryDirectory();
    writeFiles(directory.path, {
      [`attachments/.${name}.json`]: "torn and longer than the new one",
    });
    const store = new Store(directory.path);
    store.write(name, "record", "new").close();
    expect([store.read(name, "record"), files(directory.path)]).toEqual([
      "new",
      [`${name}.json`],
    ]);
  });

  test("leaves the old file and nothing else when it cannot be replaced", () => {
    using directory = temporaryDirectory();
    mkdirSync(`${directory.path}/attachments/${name}.json`, {
      recursive: true,
    });
    const store = new Store(directory.path);
    expect(() => store.write(name, "record", "new")).toThrow(
      expect.objectContaining({ code: "EISDIR" }),
    );
    expect(files(directory.path)).toEqual([`${name}.json`]);
  });

  test("throws 5 when there can be no directory", () => {
    using directory = temporaryDirectory();
    writeFileSync(`${directory.path}/data`, "");
    expect(() =>
      new Store(`${directory.path}/data`).write(name, "record", ""),
    ).toThrow(
      expect.objectContaining({
        name: "UnsafeDirectory",
        message: `refusing directory "${directory.path}/data": it is not a directory`,
      }),
    );
  });

  test.each<[string, (path: string, victim: string) => void]>([
    ["a symbolic link", (path, victim) => symlinkSync(victim, path)],
    ["a hard link", (path, victim) => linkSync(victim, path)],
    ["a named pipe", (path) => void Bun.spawnSync({ cmd: ["mkfifo", path] })],
  ])(
    "writes nothing into what has the temporary file's name: %s",
    (_, make) => {
      using directory = temporaryDirectory();
      writeFiles(directory.path, {
        victim: "untouched",
        "attachments/other": "",
      });
      const victim = `${directory.path}/victim`;
      make(`${directory.path}/attachments/.${name}.json`, victim);
      const store = new Store(directory.path);
      store.write(name, "record", "new").close();
      expect([
        store.read(name, "record"),
        readFileSync(victim, "utf8"),
        files(directory.path),
      ]).toEqual(["new", "untouched", [`${name}.json`, "other"]]);
    },
  );

  test("makes a file durable without leaving a descriptor", () => {
    using directory = temporaryDirectory();
    const store = new Store(directory.path);
    const open = () => readdirSync("/proc/self/fd").length;
    const before = open();
    store.write(name, "record", "durable").sync();
    store.write(name, "record", "closed").close();
    expect([open(), store.read(name, "record")]).toEqual([before, "closed"]);
  });

  test("reads nothing where there is nothing", () => {
    using directory = temporaryDirectory();
    const store = new Store(`${directory.path}/missing`);
    expect([
      store.read(name, "record"),
      store.read(name, "result"),
      store.list(),
    ]).toEqual([undefined, undefined, []]);
  });

  test("reads nothing but regular files", () => {
    using directory = temporaryDirectory();
    mkdirSync(`${directory.path}/attachments/${name}.json`, {
      recursive: true,
    });
    expect(() => new Store(directory.path).read(name, "record")).toThrow(
      new NotAFile("not a regular file"),
    );
  });

  test.each<["record" | "result", string, number]>([
    ["record", ".json", 64 << 20],
    ["result", ".result.json", 256 << 20],
  ])("reads no %s that is larger than any", (part, suffix, bytes) => {
    using directory = temporaryDirectory();
    const path = `${directory.path}/attachments/${name}${suffix}`;
    writeFiles(`${directory.path}/attachments`, { [`${name}${suffix}`]: "" });
    chmodSync(`${directory.path}/attachments`, 0o700);
    truncateSync(path, bytes + 1);
    expect(() => new Store(directory.path).read(name, part)).toThrow(
      new TooLarge(`larger than ${bytes} bytes`),
    );
  });

  test("removes everything of a record, also what crashes left, and nothing of others", () => {
    using directory = temporaryDirectory();
    const store = new Store(directory.path);
    writeFiles(`${directory.path}/attachments`, {
      [`${name}.json`]: "",
      [`${name}.result.json`]: "",
      [`.${name}.json`]: "",
      [`.${name}.result.json`]: "",
      "c1:eth01.json": "",
      "c1:eth.json": "",
      [`${name}.json.corrupt`]: "",
    });
    store.remove(name);
    store.remove(name);
    expect(files(directory.path)).toEqual([
      "c1:eth.json",
      `${name}.json.corrupt`,
      "c1:eth01.json",
    ]);
  });

  test("removes nothing where there is no directory", () => {
    using directory = temporaryDirectory();
    new Store(`${directory.path}/missing`).remove(name);
    expect(existsSync(`${directory.path}/missing`)).toBe(false);
  });

  test("moves an unreadable record aside, its result away", () => {
    using directory = temporaryDirectory();
    const store = new Store(directory.path);
    writeFiles(`${directory.path}/attachments`, {
      [`${name}.json`]: "garbage",
      [`${name}.result.json`]: "{}",
    });
    store.setAside(name);
    expect([
      files(directory.path),
      readFileSync(
        `${directory.path}/attachments/${name}.json.corrupt`,
        "utf8",
      ),
      store.list(),
    ]).toEqual([[`${name}.json.corrupt`], "garbage", []]);
  });

  test("lists records, whatever else is there", () => {
    using directory = temporaryDirectory();
    const hash = digest("long");
    writeFiles(`${directory.path}/attachments`, {
      "c1:eth0.json": "",
      "c1:eth0.result.json": "",
      "c1:é.json": "",
      "a.b_c-d:net1.json": "",
      [`${hash}.json`]: "",
      [`${hash}.result.json`]: "",
      "c2:eth0.result.json": "a result without a record",
      ".c3:eth0.json": "a temporary file",
      "c4:eth0.json.corrupt": "",
      "c5.json": "no interface",
      ":eth0.json": "no container",
      "-c6:eth0.json": "no container ID",
      "c7:eth0": "",
      "c8:eth0.conf": "",
      README: "",
      "abc.json": "",
    });
    expect(new Store(directory.path).list().toSorted()).toEqual(
      ["a.b_c-d:net1", "c1:eth0", "c1:é", hash].toSorted(),
    );
  });
});
