/**
 * rtnetlink: the framing of messages and attributes (linux/netlink.h), and requests
 * to the kernel over one socket: confirmed orders, and listings in several parts.
 * It owns sequence numbers and the time limit of a response; it knows nothing of
 * routes. Numbers are in host order, little-endian on every supported machine.
 */
import { SystemError, errnoOf, step } from "./errno.ts";
import { concat } from "./files.ts";
import { close, read, write } from "./file-calls.ts";
import { SYS, call, checked } from "./libc.ts";
import { inNetns } from "./enter-namespace.ts";
import { textOf as decode } from "./text.ts";

/** Datagrams to the kernel and from it. Both functions throw SystemError. */
interface Channel {
  send(datagram: Uint8Array): void;
  /** Waits for the next datagram; EAGAIN after the time limit. */
  receive(): Uint8Array;
  close(): void;
}

/** A channel into the network namespace at `path`; the thread stays in its own. Throws StepError. */
export function openChannel(path: string): Channel {
  const fd = inNetns(path, () =>
    step("failed to open a netlink socket", () => routeSocket(answerMs)),
  );
  const buffer = new Uint8Array(bufferLength);
  return {
    send: (datagram) => void write(fd, datagram),
    // A copy: the buffer is reused before its content is read.
    receive: () => buffer.slice(0, read(fd, buffer)),
    close: () => close(fd),
  };
}

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const NETLINK_ROUTE = 0;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;

/**
 * An rtnetlink socket of the thread's present network namespace; it stays in that
 * namespace. A read waits at most `ms` milliseconds. Throws SystemError.
 */
export function routeSocket(ms: number): number {
  const type = SOCK_RAW | SOCK_CLOEXEC;
  const fd = checked(call(SYS.socket, AF_NETLINK, type, NETLINK_ROUTE));
  try {
    // Connected to port 0, the kernel: no process of the namespace can send to it.
    // struct sockaddr_nl: u16 family, u16 padding, u32 port, u32 groups
    const kernel = new Uint32Array([AF_NETLINK, 0, 0]);
    checked(call(SYS.connect, fd, kernel, kernel.byteLength));
    // struct timeval: long seconds, long microseconds. The array drops fractions.
    const timeval = new Uint32Array([ms / 1000, 0, (ms % 1000) * 1000, 0]);
    const size = timeval.byteLength;
    checked(call(SYS.setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, timeval, size));
    // Kernels before 4.12 know neither option; their responses have no text.
    const on = new Uint32Array([1]);
    for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK]) {
      call(SYS.setsockopt, fd, SOL_NETLINK, option, on, 4);
    }
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

export class NetlinkSocket implements Disposable {
  readonly #channel: Channel;
  #sequence = 0;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /**
   * Executes an order; the payload of the kernel's answer, where it has one. Throws
   * SystemError with the kernel's reason.
   */
  order(
    type: number,
    flags: number,
    payload: Uint8Array,
  ): Uint8Array | undefined {
    const sequence = this.#send(type, flags | NLM_F_ACK, payload);
    let answer: Uint8Array | undefined;
    for (;;) {
      for (const message of this.#receive(sequence)) {
        if (message.type !== NLMSG_ERROR) {
          answer = message.payload;
          continue;
        }
        const failure = failureOf(message);
        if (failure) throw failure;
        return answer;
      }
    }
  }

  /**
   * The payloads of a complete listing that are wanted, repeated if a change
   * interrupted it. Throws SystemError.
   */
  list(type: number, payload: Uint8Array, isWanted?: IsWanted): Uint8Array[] {
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      const sequence = this.#send(type, NLM_F_DUMP, payload);
      const payloads = this.#listing(sequence, isWanted);
      if (payloads) return payloads;
    }
    throw new SystemError("EAGAIN", "every listing was overtaken by a change");
  }

  [Symbol.dispose](): void {
    this.#channel.close();
  }

  #send(type: number, flags: number, payload: Uint8Array): number {
    this.#sequence += 1;
    this.#channel.send(
      encodeMessage({
        type,
        flags: flags | NLM_F_REQUEST,
        sequence: this.#sequence,
        payload,
      }),
    );
    return this.#sequence;
  }

  /** undefined if a change interrupted the listing. */
  #listing(sequence: number, isWanted?: IsWanted): Uint8Array[] | undefined {
    const payloads: Uint8Array[] = [];
    let isOvertaken = false;
    for (;;) {
      for (const message of this.#receive(sequence, isWanted)) {
        if (message.flags & NLM_F_DUMP_INTR) isOvertaken = true;
        if (message.type !== NLMSG_DONE && message.type !== NLMSG_ERROR) {
          payloads.push(message.payload);
          continue;
        }
        const failure = failureOf(message);
        if (failure) throw failure;
        return isOvertaken ? undefined : payloads;
      }
    }
  }

  /** The next responses; those to an abandoned request are skipped. */
  #receive(sequence: number, isWanted?: IsWanted): Message[] {
    const answers: Message[] = [];
    try {
      for (const message of decodeMessages(this.#channel.receive(), isWanted))
        if (message.sequence === sequence) answers.push(message);
    } catch (error) {
      if (errnoOf(error) !== "EAGAIN") throw error;
      throw new SystemError("ETIMEDOUT", `no answer within ${answerMs} ms`);
    }
    return answers;
  }
}

/** The kernel responds at once, or not at all. */
const answerMs = 2000;

/** Maximum number of attempts of a listing. */
const attempts = 5;

/** The kernel's largest datagram. */
const bufferLength = 32 * 1024;

const NLM_F_REQUEST = 0x1;
const NLM_F_ACK = 0x4;
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_DUMP = 0x300;

export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** The content after the header; a view of the datagram. */
  readonly payload: Uint8Array;
}

/** Whether an item of a listing, whose payload begins at `at`, is to be decoded. */
export type IsWanted = (datagram: Uint8Array, at: number) => boolean;

/** A typed value after a message's fixed part. */
export interface Attribute {
  readonly type: number;
  readonly data: Uint8Array;
}

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
/** The first type of rtnetlink; lower numbers are control messages. */
const NLMSG_MIN_TYPE = 16;

const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;
/** Without the flags "nested" and "network byte order". */
const NLA_TYPE_MASK = 0x3fff;

const headerLength = 16;

/** A message with its header: length, type, flags, sequence number, our port (0: any). */
export function encodeMessage(message: Message): Uint8Array {
  const bytes = new Uint8Array(headerLength + message.payload.byteLength);
  const view = viewOf(bytes);
  view.setUint32(0, bytes.byteLength, true);
  view.setUint16(4, message.type, true);
  view.setUint16(6, message.flags, true);
  view.setUint32(8, message.sequence, true);
  bytes.set(message.payload, headerLength);
  return bytes;
}

/**
 * The messages of one datagram, without the items that are not wanted: objects for all
 * of them cost a pod a millisecond. Throws SystemError EIO if it is malformed.
 */
export function decodeMessages(
  datagram: Uint8Array,
  isWanted?: IsWanted,
): Message[] {
  const messages: Message[] = [];
  const view = viewOf(datagram);
  for (let at = 0; at + headerLength <= datagram.byteLength;) {
    const length = view.getUint32(at, true);
    const end = endOf(datagram, at, length, headerLength);
    const start = at + headerLength;
    const type = view.getUint16(at + 4, true);
    const flags = view.getUint16(at + 6, true);
    const sequence = view.getUint32(at + 8, true);
    at += aligned(length);
    const isItem = type >= NLMSG_MIN_TYPE && (flags & NLM_F_DUMP_INTR) === 0;
    if (isItem && isWanted?.(datagram, start) === false) continue;
    const payload = datagram.subarray(start, end);
    messages.push({ type, flags, sequence, payload });
  }
  return messages;
}

/** The attributes one after the other, each padded to four bytes. */
export function encodeAttributes(attributes: readonly Attribute[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { type, data } of attributes) {
    const bytes = new Uint8Array(aligned(4 + data.byteLength));
    const view = viewOf(bytes);
    view.setUint16(0, 4 + data.byteLength, true);
    view.setUint16(2, type, true);
    bytes.set(data, 4);
    parts.push(bytes);
  }
  return concat(parts);
}

/** Throws SystemError EIO if they are malformed. */
export function decodeAttributes(bytes: Uint8Array): Attribute[] {
  const attributes: Attribute[] = [];
  const view = viewOf(bytes);
  for (let at = 0; at + 4 <= bytes.byteLength;) {
    const length = view.getUint16(at, true);
    const end = endOf(bytes, at, length, 4);
    const type = view.getUint16(at + 2, true) & NLA_TYPE_MASK;
    attributes.push({ type, data: bytes.subarray(at + 4, end) });
    at += aligned(length);
  }
  return attributes;
}

/** The value of the first attribute of a type. Throws SystemError EIO for a malformed one before it. */
export function findAttribute(
  bytes: Uint8Array,
  wanted: number,
): Uint8Array | undefined {
  const view = viewOf(bytes);
  for (let at = 0; at + 4 <= bytes.byteLength;) {
    const length = view.getUint16(at, true);
    const end = endOf(bytes, at, length, 4);
    const type = view.getUint16(at + 2, true) & NLA_TYPE_MASK;
    if (type === wanted) return bytes.subarray(at + 4, end);
    at += aligned(length);
  }
  return undefined;
}

/** The result in an NLMSG_ERROR or at the end of a listing; undefined is success. */
export function failureOf(message: Message): SystemError | undefined {
  const { payload, flags, type } = message;
  // An NLMSG_DONE of old kernels may be empty.
  const errno = payload.byteLength < 4 ? 0 : -viewOf(payload).getInt32(0, true);
  if (errno === 0) return undefined;
  const start = type === NLMSG_DONE ? 4 : 4 + echoed(payload, flags);
  return SystemError.fromNumber(
    errno,
    flags & NLM_F_ACK_TLVS ? textIn(payload.subarray(start)) : "",
  );
}

/** The length of the request in the response: its header only, if the socket asked for that. */
function echoed(payload: Uint8Array, flags: number): number {
  if (flags & NLM_F_CAPPED || payload.byteLength < 8) return headerLength;
  return aligned(viewOf(payload).getUint32(4, true));
}

function textIn(bytes: Uint8Array): string {
  const text = findAttribute(bytes, NLMSGERR_ATTR_MSG);
  return text ? textOf(text) : "";
}

/** A string of the kernel, without the NUL that ends it. */
export function textOf(data: Uint8Array): string {
  const end = data.indexOf(0);
  return decode(end < 0 ? data : data.subarray(0, end));
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function u32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}

/** 0 if it is too short. */
export function numberIn(data: Uint8Array | undefined): number {
  return data && data.byteLength >= 4 ? viewOf(data).getUint32(0, true) : 0;
}

/**
 * The end of a piece that begins at `at` and states its own length. Throws
 * SystemError EIO for an impossible length.
 */
export function endOf(
  bytes: Uint8Array,
  at: number,
  length: number,
  shortest: number,
): number {
  const end = at + length;
  if (length < shortest || end > bytes.byteLength)
    throw new SystemError("EIO", "malformed netlink message");
  return end;
}

/** Each piece begins at a multiple of four. */
export function aligned(length: number): number {
  return (length + 3) & ~3;
}
