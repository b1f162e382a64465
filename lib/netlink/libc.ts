/**
 * The system calls around a netlink socket that Bun does not offer, through
 * `bun:ffi`. It owns their constants and turns a failure into a SystemError; it
 * knows nothing of messages. Loaded only when a pod asks for a default route.
 */
import { dlopen } from "bun:ffi";
import { SystemError } from "../cni/errno.ts";
import { requireInterrupted } from "../cni/libc.ts";

/**
 * Set by the build for each target. A name that does not exist would be looked
 * up in the working directory, so it is never guessed at run time.
 */
declare const GENIE_LIBC: string | undefined;

const { symbols } = dlopen(
  typeof GENIE_LIBC === "string" ? GENIE_LIBC : "libc.so.6",
  {
    setns: { args: ["i32", "i32"], returns: "i32" },
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
    send: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
    recvfrom: {
      args: ["i32", "ptr", "u64", "i32", "ptr", "ptr"],
      returns: "i64",
    },
  },
);

const CLONE_NEWNET = 0x40000000;
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const NETLINK_ROUTE = 0;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const MSG_TRUNC = 0x20;

/** Moves the calling thread, and no other, into a network namespace. Throws SystemError. */
export function setns(fd: number): void {
  checked(() => symbols.setns(fd, CLONE_NEWNET));
}

/**
 * An rtnetlink socket of the network namespace that the thread is in now; it
 * keeps that namespace. A read waits `ms` milliseconds at most. Throws SystemError.
 */
export function routeSocket(ms: number): number {
  const fd = checked(() =>
    symbols.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE),
  );
  // struct timeval: long seconds, long microseconds
  const timeval = BigInt64Array.of(
    BigInt(Math.floor(ms / 1000)),
    BigInt((ms % 1000) * 1000),
  );
  checked(() =>
    symbols.setsockopt(
      fd,
      SOL_SOCKET,
      SO_RCVTIMEO,
      timeval,
      timeval.byteLength,
    ),
  );
  // Kernels before 4.12 know neither; their answers then have no text.
  for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK]) {
    symbols.setsockopt(fd, SOL_NETLINK, option, Int32Array.of(1), 4);
  }
  return fd;
}

/** Sends one datagram to the kernel. Throws SystemError. */
export function send(fd: number, datagram: Uint8Array): void {
  checked(() => symbols.send(fd, datagram, datagram.byteLength, 0));
}

/**
 * The next datagram that the kernel itself sent, a view of `buffer`. Throws
 * SystemError: EAGAIN when the time is over, EMSGSIZE when it does not fit.
 */
export function receive(fd: number, buffer: Uint8Array): Uint8Array {
  for (;;) {
    // struct sockaddr_nl: u16 family, u16 padding, u32 port, u32 groups
    const sender = new Uint32Array(3);
    const size = checked(() =>
      symbols.recvfrom(
        fd,
        buffer,
        buffer.byteLength,
        MSG_TRUNC,
        sender,
        Uint32Array.of(sender.byteLength),
      ),
    );
    // Port 0 is the kernel; any process of the namespace may have another.
    if (sender[1] !== 0) continue;
    if (size > buffer.byteLength) throw new SystemError("EMSGSIZE");
    return buffer.subarray(0, size);
  }
}

/** The result of a call that says -1 for failure, repeated while signals interrupt it. Throws SystemError. */
function checked(call: () => number | bigint): number {
  for (;;) {
    const result = Number(call());
    if (result >= 0) return result;
    requireInterrupted();
  }
}
