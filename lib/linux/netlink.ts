/**
 * The framing of rtnetlink: messages and attributes (linux/netlink.h). Numbers are in host
 * order, little-endian on every supported machine. Pure.
 */
import { SystemError } from "./errno.ts";
import { concat } from "./files.ts";
import { textOf as decode } from "./text.ts";

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

/** A change interrupted the listing. */
export const NLM_F_DUMP_INTR = 0x10;
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
