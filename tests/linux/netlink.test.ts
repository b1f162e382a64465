/**
 * The framing of netlink messages, against bytes written by hand as linux/netlink.h has
 * them; and requests over a socket, with a script in place of the kernel for its rare
 * behaviour: interrupted listings, late responses, silence.
 */
import { describe, expect, test } from "bun:test";
import { concat } from "../../lib/linux/files.ts";
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
} from "../../lib/linux/netlink.ts";
import { NetlinkSocket } from "../../lib/linux/netlink-socket.ts";

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

const route = 24;
const interrupted = 0x10;
const header = new Uint8Array(16);
const success = concat([u32(0), header]);
const refusal = concat([u32(0xffff_fffd), header]);

/** One datagram: its messages, the sequence number that of the request unless given. */
type Datagram = (Omit<Message, "sequence" | "flags"> & Partial<Message>)[];

/** A socket whose every request is answered by the next script; then silence. */
function scripted(...scripts: Datagram[][]) {
  const requests: Message[] = [];
  const waiting: Uint8Array[] = [];
  let closed = 0;
  const socket = new NetlinkSocket({
    send(datagram) {
      const sent = decodeMessages(datagram);
      requests.push(...sent);
      const sequence = sent[0]?.sequence ?? 0;
      for (const messages of scripts.shift() ?? []) {
        waiting.push(
          concat(
            messages.map((message) =>
              encodeMessage({ flags: 0, sequence, ...message }),
            ),
          ),
        );
      }
    },
    receive() {
      const datagram = waiting.shift();
      if (!datagram) throw new SystemError("EAGAIN");
      return datagram;
    },
    close() {
      closed += 1;
    },
  });
  return { socket, requests, closed: () => closed };
}

const done = { type: NLMSG_DONE, payload: u32(0) };

describe("order", () => {
  test("confirmed, asks for the confirmation", () => {
    const { socket, requests } = scripted([
      [{ type: NLMSG_ERROR, payload: success }],
    ]);
    socket.order(route, 0x400, u32(1));
    expect(requests).toEqual([
      { type: route, flags: 0x405, sequence: 1, payload: u32(1) },
    ]);
  });

  test("refused, throws the kernel's reason", () => {
    const { socket } = scripted([[{ type: NLMSG_ERROR, payload: refusal }]]);
    expect(() => socket.order(route, 0, u32(1))).toThrow(
      new SystemError("ESRCH"),
    );
  });

  test("an answer to an earlier request, passed over", () => {
    const { socket } = scripted([
      [{ type: NLMSG_ERROR, payload: refusal, sequence: 0 }],
      [{ type: NLMSG_ERROR, payload: success }],
    ]);
    expect(socket.order(route, 0, u32(1))).toBeUndefined();
  });

  test("no answer, an error that says so", () => {
    const { socket } = scripted([]);
    expect(() => socket.order(route, 0, u32(1))).toThrow(
      new SystemError("ETIMEDOUT", "no response within 2000 ms"),
    );
  });
});

describe("list", () => {
  const item = (payload: number, flags = 0) => ({
    type: route,
    flags,
    payload: u32(payload),
  });

  test("several datagrams, all of them and no end mark", () => {
    const { socket } = scripted([[item(1), item(2)], [item(3)], [done]]);
    expect(socket.list(26, u32(0))).toEqual([u32(1), u32(2), u32(3)]);
  });

  test("only wanted items; a change during an unwanted one counts", () => {
    const { socket, requests } = scripted(
      [[item(1), item(2, interrupted), item(3)], [done]],
      [[item(4), item(5)], [done]],
    );
    const isOdd = (datagram: Uint8Array, at: number) =>
      ((datagram[at] ?? 0) & 1) === 1;
    expect(socket.list(26, u32(0), isOdd)).toEqual([u32(5)]);
    expect(requests.length).toBe(2);
  });

  test("nothing, an empty list", () => {
    const { socket } = scripted([[done]]);
    expect(socket.list(26, u32(0))).toEqual([]);
  });

  test("overtaken by a change, made again", () => {
    const { socket, requests } = scripted(
      [[item(1)], [item(2, interrupted)], [done]],
      [[item(3)], [{ ...done, flags: interrupted }]],
      [[item(4)], [done]],
    );
    expect(socket.list(26, u32(0))).toEqual([u32(4)]);
    expect(requests.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  });

  test("overtaken again and again, an error", () => {
    const script = [[{ ...done, flags: interrupted }]];
    const { socket, requests } = scripted(
      ...Array.from({ length: 9 }, () => script),
    );
    expect(() => socket.list(26, u32(0))).toThrow(
      new SystemError("EAGAIN", "every listing was overtaken by a change"),
    );
    expect(requests.length).toBe(5);
  });

  test.each<[string, Datagram]>([
    ["instead of a listing", [{ type: NLMSG_ERROR, payload: refusal }]],
    ["at its end", [{ type: NLMSG_DONE, payload: u32(0xffff_fffd) }]],
  ])("an error %s, thrown", (_, datagram) => {
    const { socket } = scripted([datagram]);
    expect(() => socket.list(26, u32(0))).toThrow(new SystemError("ESRCH"));
  });

  test("without an end, an error", () => {
    const { socket } = scripted([[item(1)]]);
    expect(() => socket.list(26, u32(0))).toThrow(new SystemError("ETIMEDOUT"));
  });
});

test("dispose, closes once", () => {
  const { socket, closed } = scripted();
  {
    using _ = socket;
  }
  expect(closed()).toBe(1);
});
