/** state.md "The record": the files: names, modes, atomic replacement, what is unreadable. */
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { describe, expect, test } from "bun:test";
import { parseConf } from "../../lib/cni/conflist.ts";
import { parseJson } from "../../lib/cni/json.ts";
import type { Result } from "../../lib/cni/result.ts";
import {
  RecordDirectory,
  type RecordEntry,
  isUnchanged,
} from "../../lib/state/record-directory.ts";
import {
  type AttachmentRecord,
  CorruptRecord,
} from "../../lib/state/record.ts";
import { newestFormat, textOfRecord } from "../../lib/state/record-text.ts";
import { Records } from "../../lib/state/records.ts";
import type { DueStatus } from "../../lib/state/stored-results.ts";
import { temporaryDirectory, writeFiles } from "../support/delegate.ts";
import { descriptorsOpenedNow } from "../support/descriptors.ts";
import { exampleRecord as record, resultsOf } from "../support/records.ts";
import { cniError, rejection } from "../support/cni-error.ts";

const name = "c1:eth0";

/** Records in a directory that goes away. */
function node() {
  const directory = temporaryDirectory();
  const path = `${directory.path}/attachments`;
  return {
    ...directory,
    dataDir: directory.path,
    path,
    file: (end: string) => `${path}/${name}${end}`,
    files: () => readdirSync(path).toSorted(),
    records: new RecordDirectory(directory.path),
  };
}

const read = (records: RecordDirectory) => records.read(record);

function directoryAt(path: string): void {
  mkdirSync(`${path}/within`, { recursive: true, mode: 0o700 });
}

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
])("Records.nameOf, of %s and %s", (containerId, ifname, expected) => {
  expect(Records.nameOf(containerId, ifname)).toBe(expected);
});

describe("Records, the files", () => {
  test("are for root alone, and so are their directories", () => {
    using at = node();
    const dataDir = `${at.dataDir}/deep/data`;
    const records = new RecordDirectory(dataDir);
    records.write(record).close();
    records.writeResults(record, new Map());
    const mode = (path: string) =>
      (statSync(`${dataDir}/${path}`).mode & 0o777).toString(8);
    expect(
      [
        "",
        "attachments",
        "attachments/c1:eth0.json",
        "attachments/c1:eth0.result.json",
      ].map(mode),
    ).toEqual(["700", "700", "600", "600"]);
  });

  test("are replaced at once: a reader of the old one goes on; the mode is ours again", () => {
    using at = node();
    at.records.write(record).close();
    chmodSync(at.file(".json"), 0o666);
    const { ino } = statSync(at.file(".json"));
    at.records.write({ ...record, attachments: [] }).close();
    const after = statSync(at.file(".json"));
    expect([after.ino === ino, after.mode & 0o777]).toEqual([false, 0o600]);
  });

  test.each<[string, (path: string, victim: string) => void]>([
    ["a file, of a crash", (path) => writeFileSync(path, "torn and longer")],
    ["a symbolic link", (path, victim) => symlinkSync(victim, path)],
    ["a hard link", (path, victim) => linkSync(victim, path)],
    ["a named pipe", (path) => void Bun.spawnSync({ cmd: ["mkfifo", path] })],
    ["a directory", directoryAt],
  ])(
    "nothing is written into what has the temporary name: %s",
    async (_, make) => {
      using at = node();
      writeFiles(at.dataDir, { victim: "untouched" });
      mkdirSync(at.path, { mode: 0o700 });
      const victim = `${at.dataDir}/victim`;
      make(`${at.path}/.${name}.json`, victim);
      at.records.write(record).close();
      expect([await read(at.records), readFileSync(victim, "utf8")]).toEqual([
        record,
        "untouched",
      ]);
    },
  );

  test("throws 5 when there can be no directory", () => {
    using at = node();
    writeFileSync(`${at.dataDir}/data`, "");
    expect(() =>
      new RecordDirectory(`${at.dataDir}/data`).write(record),
    ).toThrow(
      cniError(
        5,
        `refusing directory "${at.dataDir}/data": it is not a directory`,
      ),
    );
  });

  test("are made durable without leaving a descriptor", () => {
    using at = node();
    const left = descriptorsOpenedNow();
    at.records.write(record).sync();
    at.records.write(record).close();
    expect(left()).toEqual([]);
  });

  test("of one record are removed, also those of crashes, and none of others", () => {
    using at = node();
    writeFiles(at.path, {
      [`${name}.json`]: "",
      [`${name}.result.json`]: "",
      [`${name}.gone`]: "",
      [`.${name}.json`]: "",
      [`.${name}.result.json`]: "",
      [`.${name}.status`]: "",
      "c1:eth01.json": "",
      "c1:eth.json": "",
      [`${name}.json.corrupt`]: "",
    });
    chmodSync(at.path, 0o700);
    at.records.remove(record);
    at.records.remove(record);
    expect(at.files()).toEqual([
      "c1:eth.json",
      `${name}.json.corrupt`,
      "c1:eth01.json",
    ]);
  });

  test("of none are removed where there is no directory", () => {
    using at = node();
    at.records.remove(record);
    expect(existsSync(at.path)).toBe(false);
  });

  test("of records are listed, whatever else is there", async () => {
    using at = node();
    const hash = digest("long");
    writeFiles(at.path, {
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
    chmodSync(at.path, 0o700);
    const entries = await Array.fromAsync(at.records.all());
    expect(entries.map((entry) => entry.name).toSorted()).toEqual(
      ["a.b_c-d:net1", "c1:eth0", "c1:é", hash].toSorted(),
    );
  });
});

describe("Records.read", () => {
  test("returns the record, with and without a pod", async () => {
    using at = node();
    at.records.write(record).close();
    const { pod: _, ...outside } = record;
    const seen = [await read(at.records)];
    at.records.write(outside).close();
    seen.push(await read(at.records));
    expect(seen).toEqual([record, outside]);
  });

  test("keeps numbers and keys of a configuration as they were written", async () => {
    using at = node();
    const text =
      '{"type":"b","name":"n","id":12345678901234567890,"rate":1.0,"__proto__":{"x":1e2},"constructor":1}';
    const args = '{"bandwidth":98765432109876543210,"__proto__":1.50}';
    const [attachment] = record.attachments;
    if (!attachment) throw new Error("no attachment");
    const list = parseConf(parseJson(text));
    const capabilityArgs = parseJson(args) as Record<string, unknown>;
    const attachments = [{ ...attachment, list, capabilityArgs }];
    at.records.write({ ...record, attachments }).close();
    const found = (await read(at.records))?.attachments[0];
    expect(
      [found?.list.plugins[0], found?.capabilityArgs].map((value) =>
        JSON.stringify(value),
      ),
    ).toEqual([text, args]);
  });

  test("finds none of another container or interface", async () => {
    using at = node();
    at.records.write(record).close();
    expect([
      await at.records.read({ ...record, ifname: "eth1" }),
      await at.records.read({ ...record, containerId: "c2" }),
    ]).toEqual([undefined, undefined]);
  });

  test("does not take the record of another for this one's", async () => {
    using at = node();
    at.records.write(record).close();
    writeFileSync(
      at.file(".json"),
      textOfRecord({ ...record, containerId: "c2" }),
    );
    expect(await rejection(read(at.records))).toEqual(
      new CorruptRecord("it is the record of c2:eth0"),
    );
  });

  test.each<[string, (path: string) => void]>([
    ["a directory", directoryAt],
    ["a symbolic link", (path) => symlinkSync("/proc/self/status", path)],
    ["a symbolic link to itself", (path) => symlinkSync(path, path)],
    ["a named pipe", (path) => void Bun.spawnSync({ cmd: ["mkfifo", path] })],
    [
      "a device",
      (path) => void Bun.spawnSync({ cmd: ["mknod", path, "c", "1", "5"] }),
    ],
  ])(
    "of what is %s is corrupt; it is moved aside with its result",
    async (_, make) => {
      using at = node();
      at.records.write({ ...record, containerId: "c2" }).close();
      make(at.file(".json"));
      directoryAt(at.file(".result.json"));
      expect(at.records.has(record)).toBe(true);
      expect(await rejection(read(at.records))).toEqual(
        new CorruptRecord("not a regular file"),
      );
      at.records.setAside(name);
      expect(at.records.has(record)).toBe(false);
      expect(lstatSync(at.file(".json.corrupt"))).toBeTruthy();
      expect(existsSync(at.file(".result.json"))).toBe(false);
      expect(await read(at.records)).toBeUndefined();
    },
  );

  test("reads no record that is larger than any", async () => {
    using at = node();
    at.records.write(record).close();
    truncateSync(at.file(".json"), (64 << 20) + 1);
    expect(await rejection(read(at.records))).toEqual(
      new CorruptRecord(`larger than ${64 << 20} bytes`),
    );
  });

  test("leaves the record of a newer genie alone: 11", async () => {
    using at = node();
    const newer = { formatVersion: newestFormat + 1, other: "shape" };
    writeFiles(at.dataDir, { "attachments/c1:eth0.json": newer });
    expect(await rejection(read(at.records))).toEqual(
      cniError(
        11,
        "attachment record has format 3, this genie reads up to 2: install the newer one again",
      ),
    );
    expect(readFileSync(at.file(".json"), "utf8")).toBe(JSON.stringify(newer));
  });
});

test("RecordDirectory.removeLoneNotes, removes notes without a record; removeTemporaryFiles, files of one container", () => {
  using at = node();
  at.records.write(record).close();
  at.records.noteGone(record, 1);
  at.records.noteDeleting(record);
  const lone = { ...record, containerId: "c2" };
  at.records.noteGone(lone, 1);
  at.records.noteDeleting(lone);
  for (const file of [".c1:eth0.json", ".c2:eth0.json"])
    writeFileSync(`${at.path}/${file}`, "");
  at.records.removeLoneNotes();
  at.records.removeTemporaryFiles("c1");
  expect(at.files()).toEqual([
    ".c2:eth0.json",
    "c1:eth0.deleting",
    "c1:eth0.gone",
    "c1:eth0.json",
  ]);
});

test.each([
  ["the first look", undefined, 5000, false],
  ["another change", { readMs: 9000, changedMs: 4000 }, 5000, false],
  ["none, and it was settled", { readMs: 6001, changedMs: 5000 }, 5000, true],
  [
    "read in the second of the change",
    { readMs: 6000, changedMs: 5000 },
    5000,
    false,
  ],
] as const)("isUnchanged, %s", (_, earlier, changedMs, expected) => {
  expect(isUnchanged(earlier, { readMs: 60_000, changedMs })).toBe(expected);
});

describe("RecordDirectory, the status that is due", () => {
  test.each([
    [{ id: "1", annotations: { a: "x", b: null } }, true],
    [{ id: "1", annotations: {} }, true],
    [{ id: 1, annotations: {} }, false],
    [{ annotations: {} }, false],
    [{ id: "1" }, false],
    [{ id: "1", annotations: ["x"] }, false],
    [{ id: "1", annotations: { a: "x", b: 1 } }, false],
  ])("of %j", (status, isValid) => {
    using at = node();
    at.records.write(record).close();
    writeFileSync(
      at.file(".result.json"),
      JSON.stringify({ results: [], status }),
    );
    expect(at.records.dueStatus(name)).toEqual(
      isValid ? (status as DueStatus) : undefined,
    );
  });

  test("is noted in a file of results alone, and the note goes with the record", () => {
    using at = node();
    const due = { id: "1", annotations: { a: "x" } };
    at.records.write(record).close();
    at.records.noteDue(record, due);
    expect([at.records.dueStatus(name), at.files()]).toEqual([
      undefined,
      ["c1:eth0.json"],
    ]);
    writeFileSync(at.file(".result.json"), JSON.stringify({ results: [] }));
    at.records.noteDue(record, due);
    expect(at.records.dueStatus(name)).toEqual(due);
    at.records.noteWritten(record, "1");
    expect(at.records.writtenStatus(name)).toBe("1");
    at.records.remove(record);
    at.records.noteWritten(record, "1");
    expect(at.files()).toEqual([]);
  });
});

describe("RecordDirectory.isDeleting", () => {
  test("is true from the note of a DEL until the record is removed", () => {
    using at = node();
    at.records.write(record).close();
    const seen = [at.records.isDeleting(record)];
    at.records.noteDeleting(record);
    at.records.noteDeleting(record);
    seen.push(at.records.isDeleting(record));
    at.records.write(record).close();
    seen.push(at.records.isDeleting(record));
    at.records.remove(record);
    at.records.write(record).close();
    seen.push(at.records.isDeleting(record));
    expect(seen).toEqual([false, true, true, false]);
  });

  test("is true for a record of 0.1.0 whose DEL failed, which has no note", () => {
    using at = node();
    const failures = { count: 1, bootId: record.bootId, uptimeMs: 1 };
    expect(at.records.isDeleting({ ...record, failures })).toBe(true);
  });

  test.each<[string, (path: string) => unknown, string[]]>([
    ["a directory", directoryAt, ["c1:eth0.deleting.corrupt"]],
    ["a named pipe", (path) => Bun.spawnSync(["mkfifo", path]), []],
  ])("%s has the note's name: it does not matter", (_, make, left) => {
    using at = node();
    at.records.noteDeleting(record);
    at.records.write(record).close();
    make(at.file(".deleting"));
    at.records.noteDeleting(record);
    at.records.remove(record);
    expect(at.files()).toEqual(left);
  });
});

test("Records, in a directory that is not ours alone: 5, whatever is done", async () => {
  using at = node();
  at.records.write(record).close();
  chmodSync(at.path, 0o770);
  const unsafe = new RecordDirectory(at.dataDir);
  const refusal = cniError(
    5,
    `refusing directory "${at.path}": group or others may write to it (mode 0770)`,
  );
  expect(await rejection(read(unsafe))).toEqual(refusal);
  for (const work of [
    () => unsafe.has(record),
    () => unsafe.write(record),
    () => unsafe.writeResults(record, new Map()),
    () => unsafe.remove(record),
    () => unsafe.setAside(name),
    () => unsafe.noteGone(record, 1),
    () => unsafe.noteDeleting(record),
    () => unsafe.all(),
  ])
    expect(work).toThrow(refusal);
});

test.each<[string, (records: RecordDirectory) => void]>([
  ["write", (records) => records.write(record).close()],
  ["noteGone", (records) => records.noteGone(record, 1)],
  ["forgetGone", (records) => records.forgetGone(record)],
  ["removeResults", (records) => records.removeResults(record)],
  ["remove", (records) => records.remove(record)],
  ["removeTemporaryFiles", (records) => records.removeTemporaryFiles("c1")],
])("Records.%s, moves directories aside that have a file's name", (_, work) => {
  using at = node();
  for (const end of [".json", ".result.json", ".gone"]) {
    directoryAt(at.file(end));
    directoryAt(`${at.path}/.${name}${end}`);
  }
  chmodSync(at.path, 0o700);
  work(at.records);
  expect(at.files().filter((file) => file.endsWith(".corrupt"))).not.toEqual(
    [],
  );
  work(at.records);
  expect(at.records.goneSince(record) ?? 1).toBe(1);
});

test("RecordDirectory.move, onto directories: they are moved aside", async () => {
  using at = node();
  const abandoned = new RecordDirectory(at.dataDir, "abandoned");
  at.records.write(record).close();
  at.records.writeResults(record, resultsOf(record, [{ cniVersion: "1.0.0" }]));
  const path = `${at.dataDir}/abandoned/${Records.nameOf("c1", "eth0", `${record.bootId}-${record.uptimeMs}`)}`;
  directoryAt(`${path}.json`);
  directoryAt(`${path}.result.json`);
  chmodSync(`${at.dataDir}/abandoned`, 0o700);
  at.records.move(record, "everything", abandoned);
  const { results } = await abandoned.readResults(record);
  expect([await abandoned.read(record), results.size, at.files()]).toEqual([
    record,
    1,
    [],
  ]);
});

describe("RecordDirectory.all", () => {
  const others = ["c2", "c3"].map((containerId) => ({
    ...record,
    containerId,
  }));

  test("returns every readable record and the errors of the others", async () => {
    using at = node();
    for (const each of [record, ...others]) at.records.write(each).close();
    writeFiles(at.path, {
      "c4:eth0.json": "garbage",
      "c5:eth0.json": { formatVersion: 9 },
      "c6:eth0.json.corrupt": "garbage",
      "c7:eth0.json": record,
      "notes.txt": "x",
    });
    const entries = await Array.fromAsync(at.records.all());
    expect(entries.toSorted((a, b) => a.name.localeCompare(b.name))).toEqual([
      ...[record, ...others].map((each) => ({
        name: `${each.containerId}:eth0`,
        record: each,
      })),
      { name: "c4:eth0", error: expect.any(CorruptRecord) as unknown },
      { name: "c5:eth0", error: cniError(11, expect.any(String)) },
      { name: "c7:eth0", error: expect.any(CorruptRecord) as unknown },
    ]);
  });

  test("holds one at a time; records that disappear meanwhile are left out", async () => {
    using at = node();
    for (const each of [record, ...others]) at.records.write(each).close();
    const seen: RecordEntry[] = [];
    for await (const entry of at.records.all()) {
      seen.push(entry);
      for (const other of [record, ...others])
        if (other.containerId !== entry.record?.containerId)
          at.records.remove(other);
    }
    expect(seen).toHaveLength(1);
  });
});

describe("Records.readResults", () => {
  const results: Result[] = [
    { cniVersion: "1.0.0", ips: [{ address: "10.0.0.2/24" }] },
    { cniVersion: "0.2.0", ip4: { ip: "10.1.0.2/24" }, dns: {} },
  ];
  const made = { table: 1000, addresses: ["10.1.0.2", "fd01::2"] };
  const both = new Map<string, unknown>([
    ["eth0", results[0]],
    ["net1", results[1]],
  ]);

  /** The results that are read from a file of these, whose text was changed. */
  async function readAs(
    change: (text: string) => string = (text) => text,
    stored: readonly unknown[] = results,
  ) {
    using at = node();
    at.records.write(record).close();
    const routing = new Map([["net1", made]]);
    at.records.writeResults(
      record,
      resultsOf(record, stored as Result[]),
      routing,
    );
    const path = at.file(".result.json");
    writeFileSync(path, change(readFileSync(path, "utf8")));
    const found = await at.records.readResults(record);
    return {
      results: new Map<string, unknown>(found.results),
      routing: found.routing,
      completed: ["eth0", "net1"].filter((one) => found.hasCompleted(one)),
    };
  }

  test("returns results, each in its version, and the tables made for them", async () => {
    expect(await readAs()).toEqual({
      results: both,
      routing: new Map([["net1", made]]),
      completed: ["eth0", "net1"],
    });
  });

  test("knows which attachments ADD did not complete", async () => {
    expect(await readAs(undefined, [results[0]])).toMatchObject({
      results: new Map([["eth0", results[0]]]),
      completed: ["eth0"],
    });
  });

  test.each<[string, (text: string) => string]>([
    [
      "with the length elsewhere, as before 0.2.0",
      (text) => text.replace(/^\{"length":\d+,/, "{").replace("{", '{"odd":1,'),
    ],
    ["without a length", (text) => text.replace(/"length":\d+,/, "")],
    ["longer than it states", (text) => `${text}\n`],
  ])("gives them back of a file %s", async (_, change) => {
    expect(await readAs(change)).toMatchObject({ results: both });
  });

  test.each<[string, unknown, string[]]>([
    [
      "is torn",
      '{"formatVersion":1,"results":[{"ifname":"eth0","resu',
      ["eth0", "net1"],
    ],
    ["is empty", "", ["eth0", "net1"]],
    ["is an array", [], ["eth0", "net1"]],
    ["has no array", { results: {} }, ["eth0", "net1"]],
    ["has null", { results: [{ ifname: "eth0", result: null }] }, []],
    ["has no interface", { results: [{ result: results[0] }, null, "x"] }, []],
    [
      "has a result that cannot be trusted",
      { results: [{ ifname: "eth0", result: { ips: [{ address: "x" }] } }] },
      ["eth0"],
    ],
    [
      "has a result of another kind",
      { results: [{ ifname: "net1", result: 1 }] },
      ["net1"],
    ],
  ])("gives none where the file %s", async (_, content, completed) => {
    const text =
      typeof content === "string" ? content : JSON.stringify(content);
    expect(await readAs(() => text)).toEqual({
      results: new Map(),
      routing: new Map(),
      completed,
    });
  });

  test("returns none for a missing file, or a directory of that name", async () => {
    using at = node();
    const none = await at.records.readResults(record);
    directoryAt(at.file(".result.json"));
    chmodSync(at.path, 0o700);
    const odd = await at.records.readResults(record);
    expect([none, odd].map((found) => found.results.size)).toEqual([0, 0]);
    expect([none, odd].map((found) => found.hasCompleted("eth0"))).toEqual([
      false,
      true,
    ]);
  });

  test("returns none of a file above the limit", async () => {
    using at = node();
    at.records.writeResults(record, resultsOf(record, results));
    truncateSync(at.file(".result.json"), (256 << 20) + 1);
    expect((await at.records.readResults(record)).results.size).toBe(0);
  });

  test("reads with care where the length is not as stated", async () => {
    const changed = (address: string) => (text: string) =>
      text.replace("10.0.0.2/24", address);
    const found = await Promise.all(
      ["x", "10.0.0.2/99"].map((address) => readAs(changed(address))),
    );
    // The second is as long as it was.
    expect(found.map((one) => [...one.results.keys()])).toEqual([
      ["net1"],
      ["eth0", "net1"],
    ]);
  });

  test("reads with care where a key changed, and not the length", async () => {
    const found = await readAs((text) => text.replace('"ifname"', '"ifnamx"'));
    expect([...found.results.keys()]).toEqual(["net1"]);
  });

  test("returns the valid ones among others", async () => {
    const coming = { cniVersion: "1.2.0" };
    const odd = {
      results: [
        { ifname: "eth0", result: coming },
        { ifname: "net1", result: results[1], routing: { table: "1" } },
      ],
    };
    const [written, edited] = [
      await readAs(undefined, [coming, results[1]]),
      await readAs(() => JSON.stringify(odd)),
    ];
    expect([written, edited].map((one) => [...one.results.keys()])).toEqual([
      ["net1"],
      ["net1"],
    ]);
    expect(edited.routing.size).toBe(0);
  });

  test("counts all as completed for a container that Multus attached", async () => {
    using at = node();
    const adopted = { ...record, adopted: true };
    const found = await at.records.readResults(adopted);
    expect(found.hasCompleted("eth0")).toBe(true);
  });
});

describe("RecordDirectory.goneSince", () => {
  test("is the moment that was noted, until it is forgotten or the record removed", () => {
    using at = node();
    const seen = [at.records.goneSince(record)];
    at.records.noteGone(record, 1234.5);
    seen.push(at.records.goneSince(record));
    at.records.forgetGone(record);
    seen.push(at.records.goneSince(record));
    at.records.noteGone(record, 99);
    at.records.remove(record);
    seen.push(at.records.goneSince(record));
    expect(seen).toEqual([undefined, 1234.5, undefined, undefined]);
  });

  test("is not known from a torn file", () => {
    using at = node();
    at.records.noteGone(record, 1);
    writeFileSync(at.file(".gone"), "12x");
    expect(at.records.goneSince(record)).toBeUndefined();
  });
});

describe("Records.create", () => {
  const limit = 4 << 20;

  /** A record of so many bytes, of fewer letters. */
  const sized = (bytes: number): AttachmentRecord => {
    const filled = (letters: number) => ({
      ...record,
      network: "é".repeat(1 << 20) + "x".repeat(letters),
    });
    const megabyte = 1 << 20;
    const size = Buffer.byteLength(textOfRecord(filled(megabyte)));
    return filled(megabyte + bytes - size);
  };

  test("refuses a record over 4 MiB: 7, and writes nothing", () => {
    using at = node();
    expect(() => at.records.create(sized(limit + 1))).toThrow(
      cniError(
        7,
        `the configurations of 2 networks are too large to be recorded: ${limit + 1} bytes, at most 4194304`,
      ),
    );
    expect(at.records.has(record)).toBe(false);
  });

  test("writes one of 4 MiB, and the rest of a larger one", async () => {
    using at = node();
    for (const work of [
      () => at.records.create(sized(limit)),
      () => at.records.write(sized(limit + 1000)),
    ]) {
      work().close();
      expect((await read(at.records))?.containerId).toBe("c1");
    }
  });
});
