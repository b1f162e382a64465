/** state.md "The record": what it says as text, and what becomes of one that cannot be understood. */
import { describe, expect, test } from "bun:test";
import { isObject, own, parseJson } from "../../lib/cni/json.ts";
import type { Attachment } from "../../lib/select/attachment.ts";
import {
  type AttachmentRecord,
  CorruptRecord,
  executedIn,
  isSameAdd,
  resultKey,
  withExecuted,
} from "../../lib/state/record.ts";
import {
  parseRecord,
  textOfRecord,
  withLength,
  withoutLength,
} from "../../lib/state/record-text.ts";
import { exampleRecord as record } from "../support/records.ts";

/** The message of the `CorruptRecord` that a text is. */
async function corruption(text: string): Promise<string> {
  try {
    await parseRecord(text);
  } catch (error) {
    if (error instanceof CorruptRecord) return error.message;
  }
  throw new Error("not corrupt");
}

describe("textOfRecord", () => {
  const [first, second] = record.attachments as [Attachment, Attachment];
  const copy = (attachment: Attachment, ifname: string): Attachment => ({
    ...(JSON.parse(JSON.stringify(attachment)) as Attachment),
    ifname,
  });
  const formatOf = async (...attachments: Attachment[]) => {
    const written = { ...record, attachments };
    const text = textOfRecord(written);
    const { formatVersion: format, ...read } = await parseRecord(text);
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
  ])("%s: format %p, and it is read again", async (_, format, attachments) => {
    expect(await formatOf(...attachments)).toBe(format);
  });

  test("an auxiliary chain: format 2, and no attachment", async () => {
    const auxiliary: Attachment = { ...first, origin: "auxiliary" };
    const text = textOfRecord({ ...record, auxiliary });
    expect(own(parseJson(text), "formatVersion")).toBe(2);
    for (const one of [text, withoutLength(text) ?? ""]) {
      const read = await parseRecord(one);
      expect(read).toMatchObject({ attachments: [{}, {}], auxiliary });
      expect(executedIn(read).map(resultKey)).toEqual(["eth0", "net1", ""]);
      const left = withExecuted(read, [auxiliary]);
      expect(left).toMatchObject({ attachments: [], auxiliary });
      const others = withExecuted(left, read.attachments);
      expect(textOfRecord(others)).toBe(textOfRecord(record));
    }
    const damaged = { ...record, formatVersion: 2, auxiliary: {} };
    expect(await corruption(withLength(JSON.stringify(damaged)))).toStartWith(
      "auxiliary.list: expected an object",
    );
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

  test("the rest of a shared one is of format 1 again", async () => {
    const shared = { ...record, attachments: [first, copy(first, "net1")] };
    const read = await parseRecord(textOfRecord(shared));
    const left = { ...read, attachments: read.attachments.slice(1) };
    expect(own(parseJson(textOfRecord(left)), "formatVersion")).toBe(1);
  });

  test.each<[string, unknown]>([
    ["attachments.0.list", { configurations: [], index: 0 }],
    ["attachments.0.list.name", { configurations: [{}], index: 0 }],
    ["attachments.0.list", { configurations: [first.list], index: 1.5 }],
    ["attachments.0.list", { configurations: [first.list], index: -1 }],
    ["attachments.0.list", { configurations: [first.list], index: "0" }],
    ["attachments.0.list", { configurations: {}, index: 0 }],
    ["attachments.0.list", { index: 0 }],
  ])(
    "a format 2 that is damaged is corrupt: %s of %j",
    async (where, damage) => {
      const { configurations, index } = damage as Record<string, unknown>;
      const text = JSON.stringify({
        ...record,
        formatVersion: 2,
        configurations,
        attachments: [{ ...first, list: index }],
      });
      expect(await corruption(text)).toStartWith(`${where}: expected `);
    },
  );
});

describe("parseRecord", () => {
  const [attachment] = record.attachments;

  test.each<[string, (text: string) => string]>([
    ["as it was written", (text) => text],
    ["without a length, as of 0.1.0", (text) => withoutLength(text) ?? ""],
    [
      "with the length of another text, as 0.1.0 keeps it",
      (text) => text.replace(/\d+/, "17"),
    ],
  ])("reads one %s", async (_, change) => {
    const read = await parseRecord(change(textOfRecord(record)));
    expect(read).toMatchObject(record);
    // A record that is written again states its own length.
    expect(withoutLength(textOfRecord(read))).toBeDefined();
  });

  test("reads an older format and keys that it does not know", async () => {
    const older = { ...record, formatVersion: 0, later: { a: 1 } };
    expect(await parseRecord(JSON.stringify(older))).toEqual(older);
  });

  const without = (key: string) =>
    Object.fromEntries(Object.entries(record).filter(([name]) => name !== key));

  test.each<[string, unknown]>([
    ["invalid character 'g' looking for beginning of value", "garbage"],
    ["unexpected end of JSON input", ""],
    ["unexpected end of JSON input", JSON.stringify(record).slice(0, -1)],
    [
      "invalid character '\\x00' looking for beginning of value",
      "\0".repeat(100),
    ],
    ["expected an object, got an array", []],
    ["expected an object, got null", null],
    ["containerId: expected a string, got nothing", without("containerId")],
    ["uptimeMs: expected a number, got nothing", without("uptimeMs")],
    ["attachments: expected an array, got nothing", without("attachments")],
    ["path.0: expected a string, got a number", { ...record, path: [1] }],
    [
      "pod.uid: expected a string, got nothing",
      { ...record, pod: { namespace: "n", name: "p" } },
    ],
    [
      "failures.count: expected a number, got a string",
      { ...record, failures: { count: "1", bootId: "b", uptimeMs: 1 } },
    ],
    [
      "abandoned.errors.0.error: expected a string, got nothing",
      {
        ...record,
        abandoned: { time: "t", errors: [{ ifname: "a", network: "b" }] },
      },
    ],
    [
      "attachments.0: expected an object, got null",
      { ...record, attachments: [null] },
    ],
    [
      "attachments.0.list.plugins.0.type: expected a string, got nothing",
      {
        ...record,
        attachments: [
          { ...attachment, list: { ...attachment?.list, plugins: [{}] } },
        ],
      },
    ],
    [
      "attachments.0.capabilityArgs: expected an object, got an array",
      { ...record, attachments: [{ ...attachment, capabilityArgs: [] }] },
    ],
    [
      // A value may be a delegate's secret.
      "formatVersion: expected a number, got a string",
      { ...record, formatVersion: "s3cret" },
    ],
  ])("corrupt: %s", async (message, content) => {
    const isText = typeof content === "string";
    const text = isText ? content : JSON.stringify(content);
    expect(await corruption(text)).toStartWith(message);
    // A byte can change and leave the length.
    if (isObject(content))
      expect(await corruption(withLength(text))).toStartWith(message);
  });

  const { pod: _, ...required } = record;
  const inner = ["namespace", "list", "cniVersion", "plugins", "type"];
  test.each([...Object.keys(required), ...inner, "args", "capabilityArgs"])(
    "corrupt: the key %s changed, and not the length",
    async (key) => {
      const text = textOfRecord(record).replace(
        `"${key}":`,
        `"${"x".repeat(key.length)}":`,
      );
      expect(withoutLength(text)).toBeDefined();
      expect(await corruption(text)).toContain(`${key}: expected `);
    },
  );
});

test.each<[string | undefined, string]>([
  ['{"a":"é"}', withLength('{"a":"é"}')],
  [undefined, '{"a":"é"}'],
  [undefined, '{"length":7,"a":"é"}'],
  [undefined, `${withLength('{"a":1}')} `],
  [undefined, withLength('{"a":1}').slice(0, -1)],
  [undefined, ""],
])("withoutLength, is %j of %j", (expected, text) => {
  expect(withoutLength(text)).toBe(expected);
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
