/** state.md "The record": what it says, and what becomes of one that cannot be understood. */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { describe, expect, test } from "bun:test";
import { parseConf, parseConfList } from "../../lib/cni/conflist.ts";
import { own, parseJson } from "../../lib/cni/json.ts";
import type { Result } from "../../lib/cni/result.ts";
import {
  type AttachmentRecord,
  CorruptRecord,
  formatVersion,
  isSameAdd,
  newestFormat,
  parseRecord,
  textOfRecord,
} from "../../lib/attach/record.ts";
import { Records } from "../../lib/attach/records.ts";
import type { Attachment } from "../../lib/select/select.ts";
import { temporaryDirectory, writeFiles } from "../support/delegate.ts";

const record: AttachmentRecord = {
  formatVersion,
  containerId: "c1",
  ifname: "eth0",
  netns: "/run/netns/a",
  network: "genie-net",
  pod: { namespace: "ns", name: "p", uid: "u" },
  time: "2026-01-02T03:04:05.678Z",
  bootId: "3ffa8f4c-0000-4000-8000-000000000000",
  uptimeMs: 12_345_678.901_234,
  path: ["/opt/cni/bin", "/extra"],
  attachments: [
    {
      list: parseConfList({
        cniVersion: "1.0.0",
        name: "net",
        disableCheck: true,
        plugins: [
          { type: "bridge", ipam: { type: "host-local" } },
          { type: "tuning" },
        ],
      }),
      ifname: "eth0",
      args: "K8S_POD_NAME=p",
      capabilityArgs: { portMappings: [{ hostPort: 80 }] },
    },
    {
      list: parseConf({ name: "def", type: "macvlan" }),
      ifname: "net1",
      args: "IgnoreUnknown=1;IP=10.0.0.9",
      capabilityArgs: {},
      definition: "ns/def",
    },
  ],
};

const path = (dataDir: string) => `${dataDir}/attachments/c1:eth0.json`;
const resultPath = (dataDir: string) =>
  `${dataDir}/attachments/c1:eth0.result.json`;

const problem = (code: number, message: unknown): unknown =>
  expect.objectContaining({ name: "CniError", code, message });

/** Records in a directory that goes away. */
function records() {
  const directory = temporaryDirectory();
  return {
    ...directory,
    dataDir: directory.path,
    records: new Records(directory.path),
  };
}

describe("Records", () => {
  test("gives back what was written", () => {
    using node = records();
    node.records.write(record).close();
    expect(node.records.read("c1", "eth0")).toEqual(record);
  });

  test("gives back a record without a pod", () => {
    using node = records();
    const { pod: _, ...outside } = record;
    node.records.write(outside).close();
    expect(node.records.read("c1", "eth0")).toEqual(outside);
  });

  test("keeps numbers and keys of a configuration as they were written", () => {
    using node = records();
    const text =
      '{"type":"b","name":"n","id":12345678901234567890,"rate":1.0,"__proto__":{"x":1e2},"constructor":1}';
    const args = '{"bandwidth":98765432109876543210,"__proto__":1.50}';
    const [attachment] = record.attachments;
    if (!attachment) throw new Error("no attachment");
    node.records
      .write({
        ...record,
        attachments: [
          {
            ...attachment,
            list: parseConf(parseJson(text)),
            capabilityArgs: parseJson(args) as Record<string, unknown>,
          },
        ],
      })
      .close();
    const read = node.records.read("c1", "eth0")?.attachments[0];
    expect(
      [read?.list.plugins[0], read?.capabilityArgs].map((value) =>
        JSON.stringify(value),
      ),
    ).toEqual([text, args]);
  });

  test("has none where there is none", () => {
    using node = records();
    node.records.write(record).close();
    expect([
      node.records.read("c1", "eth1"),
      node.records.read("c2", "eth0"),
    ]).toEqual([undefined, undefined]);
  });

  test("does not take the record of another for this one's", () => {
    using node = records();
    writeFiles(node.dataDir, {
      "attachments/c1:eth0.json": { ...record, containerId: "c2" },
    });
    expect(() => node.records.read("c1", "eth0")).toThrow(
      new CorruptRecord("it is the record of c2:eth0"),
    );
  });

  test("fails with 5 when it cannot be written", () => {
    using node = records();
    mkdirSync(path(node.dataDir), { recursive: true });
    expect(() => node.records.write(record)).toThrow(
      problem(5, "failed to write attachment record: is a directory"),
    );
  });

  test.each<[string, (path: string) => void]>([
    ["a directory", (at) => mkdirSync(at, { recursive: true })],
    ["a symbolic link", (at) => symlinkSync("/proc/self/status", at)],
    ["a symbolic link to itself", (at) => symlinkSync(at, at)],
    ["a named pipe", (at) => void Bun.spawnSync({ cmd: ["mkfifo", at] })],
    [
      "a device",
      (at) => void Bun.spawnSync({ cmd: ["mknod", at, "c", "1", "5"] }),
    ],
  ])("is unreadable where it is %s, and is moved aside", (_, make) => {
    using node = records();
    node.records.write({ ...record, containerId: "c2" }).close();
    make(path(node.dataDir));
    expect(node.records.has("c1", "eth0")).toBe(true);
    expect(() => node.records.read("c1", "eth0")).toThrow(
      new CorruptRecord("not a regular file"),
    );
    node.records.setAside("c1", "eth0");
    expect(node.records.has("c1", "eth0")).toBe(false);
    expect(lstatSync(`${path(node.dataDir)}.corrupt`)).toBeTruthy();
  });

  test("fails with 5 in a directory that is not ours alone, whatever is done", () => {
    using node = records();
    node.records.write(record).close();
    chmodSync(`${node.dataDir}/attachments`, 0o770);
    const unsafe = new Records(node.dataDir);
    const refusal = problem(
      5,
      `refusing directory "${node.dataDir}/attachments": group or others may write to it (mode 0770)`,
    );
    for (const work of [
      () => unsafe.read("c1", "eth0"),
      () => unsafe.has("c1", "eth0"),
      () => unsafe.write(record),
      () => unsafe.writeResults(record, []),
      () => unsafe.remove(record),
      () => unsafe.setAside("c1", "eth0"),
      () => unsafe.noteGone(record, 1),
      () => [...unsafe.all()],
    ])
      expect(work).toThrow(refusal);
  });

  test("leaves the record of a newer genie alone: 11", () => {
    using node = records();
    const newer = JSON.stringify({
      formatVersion: newestFormat + 1,
      other: "shape",
    });
    writeFiles(node.dataDir, { "attachments/c1:eth0.json": newer });
    expect(() => node.records.read("c1", "eth0")).toThrow(
      problem(
        11,
        "attachment record has format 3, this genie reads up to 2: install the newer one again",
      ),
    );
    expect(readFileSync(path(node.dataDir), "utf8")).toBe(newer);
  });

  test("lists every readable record and says what is wrong with the others", () => {
    using node = records();
    const others = ["c2", "c3"].map((containerId) => ({
      ...record,
      containerId,
    }));
    for (const each of [record, ...others]) node.records.write(each).close();
    writeFiles(`${node.dataDir}/attachments`, {
      "c4:eth0.json": "garbage",
      "c5:eth0.json": { formatVersion: 9 },
      "c6:eth0.json.corrupt": "garbage",
      "notes.txt": "x",
    });
    writeFiles(`${node.dataDir}/attachments`, { "c7:eth0.json": record });
    const entries = [...node.records.all()];
    expect(entries.toSorted((a, b) => a.name.localeCompare(b.name))).toEqual([
      ...[record, ...others].map((each) => ({
        name: `${each.containerId}:eth0`,
        record: each,
      })),
      { name: "c4:eth0", error: expect.any(CorruptRecord) as unknown },
      { name: "c5:eth0", error: problem(11, expect.any(String)) },
      { name: "c7:eth0", error: expect.any(CorruptRecord) as unknown },
    ]);
  });

  test("all, one is held at a time: what disappears meanwhile is left out", () => {
    using node = records();
    const others = ["c2", "c3"].map((containerId) => ({
      ...record,
      containerId,
    }));
    for (const each of [record, ...others]) node.records.write(each).close();
    const seen: unknown[] = [];
    for (const { record: each } of node.records.all()) {
      seen.push(each?.containerId);
      for (const other of [record, ...others])
        if (other.containerId !== each?.containerId) node.records.remove(other);
    }
    expect(seen).toHaveLength(1);
  });

  test("is removed with its results", () => {
    using node = records();
    node.records.write(record).close();
    node.records.writeResults(record, [{ cniVersion: "1.0.0" }]);
    node.records.remove(record);
    expect([
      node.records.read("c1", "eth0"),
      node.records.results(record).size,
    ]).toEqual([undefined, 0]);
  });

  test("is moved aside and then is none", () => {
    using node = records();
    writeFiles(node.dataDir, { "attachments/c1:eth0.json": "garbage" });
    node.records.setAside("c1", "eth0");
    expect([
      node.records.read("c1", "eth0"),
      readFileSync(`${path(node.dataDir)}.corrupt`, "utf8"),
    ]).toEqual([undefined, "garbage"]);
  });
});

describe("Records.routing", () => {
  const made = { table: 1000, addresses: ["10.1.0.2", "fd01::2"] };

  test("is what was written, beside the results", () => {
    using node = records();
    const results: Result[] = [
      { cniVersion: "1.0.0" },
      { cniVersion: "1.0.0" },
    ];
    node.records.writeResults(record, results, new Map([["net1", made]]));
    expect([
      node.records.routing(record),
      node.records.results(record).size,
    ]).toEqual([new Map([["net1", made]]), 2]);
  });

  test.each([
    ["there is no file", undefined],
    ["it is torn", '{"results":[{"ifname":"net1","routing":{"table":1000'],
    ["it is of before", '{"results":[{"ifname":"net1","result":{}}]}'],
    [
      "it is odd",
      '{"results":[{"ifname":"net1","routing":{"table":"1000","addresses":[]}},{"ifname":"net1","routing":{"table":1000}},7]}',
    ],
  ])("is nothing where %s", (_, text) => {
    using node = records();
    node.records.writeResults(record, []);
    if (text !== undefined) writeFileSync(resultPath(node.dataDir), text);
    expect(node.records.routing(record)).toEqual(new Map());
  });
});

describe("Records.results", () => {
  const results: Result[] = [
    { cniVersion: "1.0.0", ips: [{ address: "10.0.0.2/24" }] },
    { cniVersion: "0.2.0", ip4: { ip: "10.1.0.2/24" }, dns: {} },
  ];

  test("are those that were written, each in its version", () => {
    using node = records();
    node.records.writeResults(record, results);
    expect(node.records.results(record)).toEqual(
      new Map([
        ["eth0", results[0]],
        ["net1", results[1]],
      ]) as ReadonlyMap<string, Result>,
    );
  });

  test("are in the order of the attachments", () => {
    using node = records();
    node.records.writeResults(record, results);
    expect(parseJson(readFileSync(resultPath(node.dataDir), "utf8"))).toEqual({
      formatVersion,
      length: expect.any(Number),
      results: [
        { ifname: "eth0", result: results[0] },
        { ifname: "net1", result: results[1] },
      ],
    });
  });

  test.each<[string, unknown]>([
    ["are missing", undefined],
    ["are torn", '{"formatVersion":1,"results":[{"ifname":"eth0","resu'],
    ["are empty", ""],
    ["are a list", []],
    ["have no list", { results: {} }],
    ["have null", { results: [{ ifname: "eth0", result: null }] }],
    ["have no interface", { results: [{ result: results[0] }, null, "x"] }],
    [
      "cannot be trusted",
      { results: [{ ifname: "eth0", result: { ips: [{ address: "x" }] } }] },
    ],
  ])("are none when they %s", (_, content) => {
    using node = records();
    if (content !== undefined) {
      writeFiles(node.dataDir, { "attachments/c1:eth0.result.json": content });
    }
    expect(node.records.results(record).size).toBe(0);
  });

  test("are read with care when somebody changed them", () => {
    using node = records();
    node.records.writeResults(record, results);
    const file = resultPath(node.dataDir);
    const stored = readFileSync(file, "utf8");
    for (const [address, asWritten] of [
      ["x", true],
      ["10.0.0.2/99", false],
    ] as const) {
      writeFileSync(file, stored.replace("10.0.0.2/24", address));
      const read = node.records.results(record, { asWritten });
      expect([address, ...read.keys()]).toEqual([address, "net1"]);
    }
  });

  test("are taken as they were written where that is asked for", () => {
    using node = records();
    node.records.writeResults(record, results);
    expect(node.records.results(record, { asWritten: true })).toEqual(
      node.records.results(record),
    );
  });

  test("are read with care when a genie of other versions wrote them", () => {
    using node = records();
    const coming = { cniVersion: "1.2.0" } as unknown as Result;
    node.records.writeResults(record, [coming, results[1]]);
    const read = node.records.results(record, { asWritten: true });
    expect([...read.keys()]).toEqual(["net1"]);
  });

  test("are those that are good among others", () => {
    using node = records();
    writeFiles(node.dataDir, {
      "attachments/c1:eth0.result.json": {
        results: [
          { ifname: "eth0", result: { cniVersion: "9.0.0" } },
          { ifname: "net1", result: results[1] },
        ],
      },
    });
    expect([...node.records.results(record).keys()]).toEqual(["net1"]);
  });
});

describe("Records.goneSince", () => {
  const stored = (dataDir: string) => `${dataDir}/attachments/c1:eth0.gone`;

  test("is the moment that was noted, until it is forgotten or the record removed", () => {
    using node = records();
    const seen = [node.records.goneSince(record)];
    node.records.noteGone(record, 1234.5);
    seen.push(node.records.goneSince(record));
    node.records.forgetGone(record);
    seen.push(node.records.goneSince(record));
    node.records.noteGone(record, 99);
    node.records.remove(record);
    seen.push(node.records.goneSince(record));
    expect(seen).toEqual([undefined, 1234.5, undefined, undefined]);
  });

  test("is not known from a torn file", () => {
    using node = records();
    node.records.noteGone(record, 1);
    writeFileSync(stored(node.dataDir), "12x");
    expect(node.records.goneSince(record)).toBeUndefined();
  });
});

describe("textOfRecord", () => {
  const [first, second] = record.attachments as [Attachment, Attachment];
  const copy = (attachment: Attachment, ifname: string): Attachment => ({
    ...(JSON.parse(JSON.stringify(attachment)) as Attachment),
    ifname,
  });
  const formatOf = (...attachments: Attachment[]) => {
    const written = { ...record, attachments };
    const text = textOfRecord(written);
    const { formatVersion: format, ...read } = parseRecord(text);
    const { formatVersion: _, ...expected } = written;
    expect(read).toEqual(expected);
    expect(own(parseJson(text), "formatVersion")).toBe(format);
    return format;
  };

  test.each<[string, number, Attachment[]]>([
    ["one attachment", 1, [first]],
    ["two configurations", 1, [first, second]],
    [
      "one name for two configurations",
      1,
      [
        first,
        {
          ...first,
          ifname: "net1",
          list: { ...first.list, disableGC: true },
        },
      ],
    ],
    ["one configuration twice", 2, [first, { ...first, ifname: "net1" }]],
    ["equal configurations", 2, [first, copy(first, "net1")]],
    [
      "some of them equal",
      2,
      [first, second, copy(first, "net2"), copy(second, "net3")],
    ],
  ])("%s: format %p, and it is read again", (_, format, attachments) => {
    expect(formatOf(...attachments)).toBe(format);
  });

  test("a configuration that several share is stored once", () => {
    const marker = "only-once";
    const list = { ...first.list, plugins: [{ type: "bridge", marker }] };
    const attachments = Array.from({ length: 31 }, (_, i) =>
      copy({ ...first, list }, `net${i}`),
    );
    const text = textOfRecord({ ...record, attachments });
    expect(text.split(marker)).toHaveLength(2);
  });

  test("what is left of a shared one is of format 1 again", () => {
    const shared = { ...record, attachments: [first, copy(first, "net1")] };
    const read = parseRecord(textOfRecord(shared));
    const left = { ...read, attachments: read.attachments.slice(1) };
    expect(own(parseJson(textOfRecord(left)), "formatVersion")).toBe(1);
  });

  test.each<[string, unknown]>([
    ["attachments.0.list.name", { configurations: [], index: 0 }],
    ["attachments.0.list.name", { configurations: [{}], index: 0 }],
    ["attachments.0.list.name", { configurations: [first.list], index: 1.5 }],
    ["attachments.0.list.name", { configurations: [first.list], index: -1 }],
    ["attachments.0.list.name", { configurations: [first.list], index: "0" }],
    ["attachments.0.list.name", { configurations: {}, index: 0 }],
    ["attachments.0.list.name", { index: 0 }],
  ])("a format 2 that is damaged is corrupt: %s of %j", (where, damage) => {
    const { configurations, index } = damage as Record<string, unknown>;
    const text = JSON.stringify({
      ...record,
      formatVersion: 2,
      configurations,
      attachments: [{ ...first, list: index }],
    });
    expect(() => parseRecord(text)).toThrow(
      new CorruptRecord(`not understood: → at ${where}`),
    );
  });
});

describe("Records.create", () => {
  const sized = (bytes: number): AttachmentRecord => {
    const filled = (fill: string) => ({ ...record, network: fill });
    const empty = textOfRecord(filled("")).length;
    return filled("é".repeat((bytes - empty) / 2));
  };
  const odd = textOfRecord({ ...record, network: "" }).length % 2;
  const limit = (4 << 20) + odd;

  test("refuses a record over 4 MiB: 7, and writes nothing", () => {
    using node = records();
    expect(() => node.records.create(sized(limit + 2))).toThrow(
      problem(
        7,
        `the configurations of 2 networks are too large to be recorded: ${limit + 2} bytes, at most 4194304`,
      ),
    );
    expect(node.records.has("c1", "eth0")).toBe(false);
  });

  test("takes one of 4 MiB; what is left of a larger one is written all the same", () => {
    using node = records();
    for (const work of [
      () => node.records.create(sized(limit - 2 * odd)),
      () => node.records.write(sized(limit + 1000)),
    ]) {
      work().close();
      expect(node.records.read("c1", "eth0")?.containerId).toBe("c1");
    }
  });
});

describe("parseRecord", () => {
  test("reads an older format and keys that it does not know", () => {
    const older = { ...record, formatVersion: 0, later: { a: 1 } };
    expect(parseRecord(JSON.stringify(older))).toEqual(older);
  });

  const without = (key: string) =>
    Object.fromEntries(Object.entries(record).filter(([name]) => name !== key));
  const [attachment] = record.attachments;

  test.each<[string, unknown]>([
    ["invalid character 'g' looking for beginning of value", "garbage"],
    ["unexpected end of JSON input", ""],
    ["unexpected end of JSON input", JSON.stringify(record).slice(0, -1)],
    [
      "invalid character '\\x00' looking for beginning of value",
      "\0".repeat(100),
    ],
    ["→ at formatVersion", "[]"],
    ...[
      "formatVersion",
      "containerId",
      "ifname",
      "netns",
      "network",
      "time",
      "bootId",
      "uptimeMs",
      "path",
      "attachments",
    ].map((key): [string, unknown] => [`→ at ${key}`, without(key)]),
    ["→ at path.0", { ...record, path: [1] }],
    ["→ at pod.uid", { ...record, pod: { namespace: "n", name: "p" } }],
    ["→ at attachments.0", { ...record, attachments: [null] }],
    [
      "→ at attachments.0.list.plugins.0",
      {
        ...record,
        attachments: [
          { ...attachment, list: { ...attachment?.list, plugins: [{}] } },
        ],
      },
    ],
    [
      "→ at attachments.0.capabilityArgs",
      { ...record, attachments: [{ ...attachment, capabilityArgs: [] }] },
    ],
    ["→ at formatVersion", { ...record, formatVersion: "1" }],
  ])("says of a corrupt record: %s", (text, content) => {
    const json =
      typeof content === "string" ? content : JSON.stringify(content);
    let thrown: unknown;
    try {
      parseRecord(json);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(CorruptRecord);
    expect(thrown).toHaveProperty("message", expect.stringContaining(text));
    expect(thrown).toHaveProperty("message", expect.not.stringContaining("\n"));
  });
});

test.each<[boolean, string, Partial<AttachmentRecord>]>([
  [true, "less is left to delete", { attachments: [] }],
  [false, "another container", { containerId: "c2" }],
  [false, "another interface", { ifname: "eth1" }],
  [false, "another boot", { bootId: "x" }],
  [false, "another moment", { uptimeMs: 1 }],
])("isSameAdd, is %p for %s", (expected, _, other) => {
  expect(isSameAdd(record, { ...record, ...other })).toBe(expected);
});
