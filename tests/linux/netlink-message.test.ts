/**
 * The framing of netlink messages, against bytes written out by hand as
 * linux/netlink.h has them.
 */
import { describe, expect, test } from "bun:test";
import { SystemError } from "../../lib/linux/errno.ts";
import {
  type Attribute,
  decodeAttributes,
  decodeMessages,
  encodeAttributes,
  encodeMessage,
  failureOf,
  findAttribute,
  type Message,
  NLMSG_DONE,
  NLMSG_ERROR,
  numberIn,
  textOf,
  u32,
} from "../../lib/linux/netlink-message.ts";

const hex = (text: string) => Uint8Array.fromHex(text.replaceAll(" ", ""));

describe("messages", () => {
  const order: Message = {
    type: 26,
    flags: 0x301,
    sequence: 7,
    payload: hex("02 00 00 00"),
  };
  const bytes = "14000000 1a00 0103 07000000 00000000 02000000";

  test("encodeMessage, header in host order", () => {
    expect(encodeMessage(order)).toEqual(hex(bytes));
  });

  test("decodeMessages, several in one datagram, the first one padded", () => {
    const odd = "11000000 0200 0000 01000000 00000000 ff 000000";
    expect(decodeMessages(hex(odd + bytes))).toEqual([
      { type: 2, flags: 0, sequence: 1, payload: hex("ff") },
      order,
    ]);
  });

  test.each([
    ["shorter than its header", "0f000000 0200 0000 01000000 00000000"],
    [
      "longer than the datagram",
      "15000000 0200 0000 01000000 00000000 00000000",
    ],
    ["of length zero", "00000000 0200 0000 01000000 00000000"],
    ["of a huge length", "ffffffff 0200 0000 01000000 00000000"],
  ])("decodeMessages, one %s is refused", (_, datagram) => {
    expect(() => decodeMessages(hex(datagram))).toThrow(
      new SystemError("EIO", "malformed netlink message"),
    );
  });
});

describe("attributes", () => {
  test.each<[string, Attribute[], string]>([
    ["none", [], ""],
    ["a number", [{ type: 4, data: u32(3) }], "0800 0400 03000000"],
    ["padded", [{ type: 3, data: hex("6100") }], "0600 0300 6100 0000"],
    [
      "two",
      [
        { type: 3, data: hex("616263 00 64") },
        { type: 6, data: u32(512) },
      ],
      "0900 0300 61626300 64000000 0800 0600 00020000",
    ],
  ])("encodeAttributes and decodeAttributes, %s", (_, attributes, bytes) => {
    expect(encodeAttributes(attributes)).toEqual(hex(bytes));
    expect(decodeAttributes(hex(bytes))).toEqual(attributes);
  });

  test("decodeAttributes, the flags of a type are no part of it", () => {
    expect(decodeAttributes(hex("0400 0880"))).toEqual([
      { type: 8, data: new Uint8Array() },
    ]);
  });

  test("decodeAttributes, a wrong length is refused", () => {
    expect(() => decodeAttributes(hex("0900 0300 61626300"))).toThrow(
      new SystemError("EIO", "malformed netlink message"),
    );
  });

  test.each([
    ["the first", 3, "6100"],
    ["behind a padded one", 6, "00020000"],
    ["with flags in its type", 8, "ff"],
    ["there is none", 9, undefined],
  ])("findAttribute, %s", (_, type, expected) => {
    const bytes = hex(
      "0600 0300 6100 0000 0800 0600 00020000 0500 0880 ff000000",
    );
    expect(findAttribute(bytes, type)?.toHex()).toBe(expected);
  });

  test.each(["0900 0300 61626300", "0300 0300", "0000 0000"])(
    "findAttribute, a wrong length is refused: %s",
    (bytes) => {
      expect(() => findAttribute(hex(bytes), 99)).toThrow(
        new SystemError("EIO", "malformed netlink message"),
      );
    },
  );

  test.each([
    ["6c6f00", "lo"],
    ["6c6f", "lo"],
    ["", ""],
    ["6c6f00ff", "lo"],
  ])("textOf, %s", (bytes, expected) => {
    expect(textOf(hex(bytes))).toBe(expected);
  });

  test.each([
    [undefined, 0],
    [hex("0102"), 0],
    [hex("ffffffff"), 4294967295],
  ])("numberIn, %p", (data, expected) => {
    expect(numberIn(data)).toBe(expected);
  });
});

describe("failureOf", () => {
  const request = "14000000 1800 0500 01000000 00000000";
  /** -101 as the kernel's errors are. */
  const unreachable = "9bffffff";
  const said = "0800 0200 04000000 0a00 0100 4e6f2077 61790000".replaceAll(
    " ",
    "",
  );
  const text = "No way";

  test.each<[string, Partial<Message>, string, SystemError | undefined]>([
    ["success", {}, `00000000 ${request}`, undefined],
    [
      "an error that echoes the request",
      {},
      `${unreachable} ${request} aabbccdd`,
      new SystemError("ENETUNREACH"),
    ],
    [
      "words behind an echo",
      { flags: 0x200 },
      `${unreachable} ${request} aabbccdd ${said}`,
      new SystemError("ENETUNREACH", text),
    ],
    [
      "words behind a header",
      { flags: 0x300 },
      `${unreachable} ${request} ${said}`,
      new SystemError("ENETUNREACH", text),
    ],
    [
      "words at the end of a listing",
      { type: NLMSG_DONE, flags: 0x200 },
      `${unreachable} ${said}`,
      new SystemError("ENETUNREACH", text),
    ],
    ["the end of a listing", { type: NLMSG_DONE }, "00000000", undefined],
    ["an empty end", { type: NLMSG_DONE }, "", undefined],
    [
      "a number without a name",
      {},
      `01f0ffff ${request}`,
      new SystemError("errno 4095"),
    ],
  ])("%s", (_, header, payload, expected) => {
    const message: Message = {
      type: NLMSG_ERROR,
      flags: 0,
      sequence: 1,
      payload: hex(payload),
      ...header,
    };
    const failure = failureOf(message);
    expect(failure).toEqual(expected);
    expect([failure?.code, failure?.note]).toEqual([
      expected?.code,
      expected?.note,
    ]);
  });
});
