/**
 * Requests to the kernel over one rtnetlink socket: an order that is confirmed,
 * a listing in many parts. It owns the sequence numbers and how long an answer
 * may take; it knows nothing of routes.
 */
import { errnoOf, SystemError } from "./errno.ts";
import { close } from "./libc.ts";
import { receive, routeSocket, send } from "./netlink-calls.ts";
import {
  decodeMessages,
  encodeMessage,
  failureOf,
  type Message,
  NLMSG_DONE,
  NLMSG_ERROR,
} from "./netlink-message.ts";
import { inNetns } from "./network-namespace.ts";
import { step } from "./netlink-step.ts";

/** Datagrams to the kernel and from it. Both functions throw SystemError. */
export interface Channel {
  send(datagram: Uint8Array): void;
  /** Waits for the next one; EAGAIN when none comes in time. */
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
    send: (datagram) => send(fd, datagram),
    // A copy: the buffer is used again before what was in it is read.
    receive: () => receive(fd, buffer).slice(),
    close: () => close(fd),
  };
}

export class NetlinkSocket implements Disposable {
  readonly #channel: Channel;
  #sequence = 0;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /** Has an order executed. Throws SystemError with the kernel's reason. */
  order(type: number, flags: number, payload: Uint8Array): void {
    const sequence = this.#send(type, flags | NLM_F_ACK, payload);
    for (;;) {
      for (const message of this.#receive(sequence)) {
        if (message.type !== NLMSG_ERROR) continue;
        const failure = failureOf(message);
        if (failure) throw failure;
        return;
      }
    }
  }

  /**
   * The payloads of a complete listing. One that was overtaken by a change is
   * made again. Throws SystemError.
   */
  list(type: number, payload: Uint8Array): Uint8Array[] {
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      const payloads = this.#listing(this.#send(type, NLM_F_DUMP, payload));
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

  /** undefined when a change overtook the listing. */
  #listing(sequence: number): Uint8Array[] | undefined {
    const payloads: Uint8Array[] = [];
    let isOvertaken = false;
    for (;;) {
      for (const message of this.#receive(sequence)) {
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

  /** The next answers; those to a request that was given up are passed over. */
  #receive(sequence: number): Message[] {
    const answers: Message[] = [];
    try {
      for (const message of decodeMessages(this.#channel.receive()))
        if (message.sequence === sequence) answers.push(message);
    } catch (error) {
      if (errnoOf(error) !== "EAGAIN") throw error;
      throw new SystemError("ETIMEDOUT", `no answer within ${answerMs} ms`);
    }
    return answers;
  }
}

/** The kernel answers at once, or not at all. */
const answerMs = 2000;

/** How often a listing is begun again. */
const attempts = 5;

/** The kernel fills no datagram with more. */
const bufferLength = 32 * 1024;

const NLM_F_REQUEST = 0x1;
const NLM_F_ACK = 0x4;
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_DUMP = 0x300;
