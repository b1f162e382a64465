/**
 * Requests to rtnetlink over one socket: confirmed orders, and listings in several parts.
 * It owns sequence numbers and the time limit of a response; it knows nothing of routes.
 */
import { SystemError, errnoOf, step } from "./errno.ts";
import { close, read, write } from "./file-calls.ts";
import { SYS, call, checked } from "./libc.ts";
import { inNetns } from "./enter-namespace.ts";
import {
  type IsWanted,
  type Message,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLM_F_DUMP_INTR,
  decodeMessages,
  encodeMessage,
  failureOf,
} from "./netlink.ts";

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
    step("failed to open a netlink socket", () => routeSocket(responseMs)),
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
   * Executes an order; the payload of the kernel's response, where it has one. Throws
   * SystemError with the kernel's reason.
   */
  order(
    type: number,
    flags: number,
    payload: Uint8Array,
  ): Uint8Array | undefined {
    const sequence = this.#send(type, flags | NLM_F_ACK, payload);
    let response: Uint8Array | undefined;
    for (;;) {
      for (const message of this.#receive(sequence)) {
        if (message.type !== NLMSG_ERROR) {
          response = message.payload;
          continue;
        }
        const failure = failureOf(message);
        if (failure) throw failure;
        return response;
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
    const responses: Message[] = [];
    try {
      for (const message of decodeMessages(this.#channel.receive(), isWanted))
        if (message.sequence === sequence) responses.push(message);
    } catch (error) {
      if (errnoOf(error) !== "EAGAIN") throw error;
      throw new SystemError("ETIMEDOUT", `no response within ${responseMs} ms`);
    }
    return responses;
  }
}

/** The kernel responds at once, or not at all. */
const responseMs = 2000;

/** Maximum number of attempts of a listing. */
const attempts = 5;

/** The kernel's largest datagram. */
const bufferLength = 32 * 1024;

const NLM_F_REQUEST = 0x1;
const NLM_F_ACK = 0x4;
const NLM_F_DUMP = 0x300;
