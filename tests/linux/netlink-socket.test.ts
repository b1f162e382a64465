/**
 * Requests over a netlink socket, with a script in the kernel's place for what
 * the kernel rarely does: interrupted listings, late answers, silence.
 */
import { describe, expect, test } from "bun:test";
import { SystemError } from "../../lib/linux/errno.ts";
import {
  concat,
  decodeMessages,
  encodeMessage,
  type Message,
  NLMSG_DONE,
  NLMSG_ERROR,
  u32,
} from "../../lib/linux/netlink-message.ts";
import { NetlinkSocket } from "../../lib/linux/netlink-socket.ts";

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
      new SystemError("ETIMEDOUT", "no answer within 2000 ms"),
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
