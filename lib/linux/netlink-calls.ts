/**
 * The system calls around a netlink socket: entering a network namespace, and the
 * socket itself. It owns their constants; it knows nothing of messages.
 */
import { call, checked, close, read, write } from "./libc.ts";

/** Numbers of system calls on x86-64, and in the table that Linux has had for new architectures since arm64. */
const isX64 = process.arch === "x64";
const SYS_socket = isX64 ? 41 : 198;
const SYS_connect = isX64 ? 42 : 203;
const SYS_setsockopt = isX64 ? 54 : 208;
const SYS_setns = isX64 ? 308 : 268;

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

/** Moves the calling thread, and no other, into a network namespace. Throws SystemError. */
export function setns(fd: number): void {
  checked(call(SYS_setns, fd, CLONE_NEWNET));
}

/**
 * An rtnetlink socket of the network namespace that the thread is in now; it
 * keeps that namespace. A read waits `ms` milliseconds at most. Throws SystemError.
 */
export function routeSocket(ms: number): number {
  const type = SOCK_RAW | SOCK_CLOEXEC;
  const fd = checked(call(SYS_socket, AF_NETLINK, type, NETLINK_ROUTE));
  try {
    // Connected to port 0, the kernel: no process of the namespace can send to it.
    // struct sockaddr_nl: u16 family, u16 padding, u32 port, u32 groups
    const kernel = new Uint32Array([AF_NETLINK, 0, 0]);
    checked(call(SYS_connect, fd, kernel, kernel.byteLength));
    // struct timeval: long seconds, long microseconds
    const seconds = (ms / 1000) | 0;
    const timeval = new Uint32Array([seconds, 0, (ms % 1000) * 1000, 0]);
    const size = timeval.byteLength;
    checked(call(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, timeval, size));
    // Kernels before 4.12 know neither; their answers then have no text.
    const on = new Uint32Array([1]);
    for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK]) {
      call(SYS_setsockopt, fd, SOL_NETLINK, option, on, 4);
    }
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** Sends one datagram to the kernel. Throws SystemError. */
export function send(fd: number, datagram: Uint8Array): void {
  write(fd, datagram);
}

/**
 * The next datagram of the kernel, a view of `buffer`; what does not fit is cut
 * off. Throws SystemError: EAGAIN when the time is over.
 */
export function receive(fd: number, buffer: Uint8Array): Uint8Array {
  return buffer.subarray(0, read(fd, buffer));
}
