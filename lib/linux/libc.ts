/**
 * System calls through `bun:ffi`; the only module that uses it. All calls use
 * syscall(2) of the C library: one binding in place of one per function saves a pod
 * 0.3 ms and a thread (docs/performance.md). It has the binding and the calls that
 * fit no other module.
 */
import type * as ffi from "bun:ffi";
import { SystemError } from "./errno.ts";
import { bytesOf } from "./text.ts";

declare module "bun" {
  /** The implementation of the module `bun:ffi`. Unlike there, `dlopen` returns an error. */
  // oxlint-disable-next-line no-unused-vars -- adds to the types of Bun what they lack
  const FFI: Pick<typeof ffi, "dlopen" | "ptr" | "read">;
}

/**
 * Set by the build for each target. A name that does not exist would be looked
 * up in the working directory, so it is never guessed at run time.
 */
declare const GENIE_LIBC: string | undefined;

const { symbols } = bind({
  // The name in glibc and in musl.
  __errno_location: { args: [], returns: "ptr" },
  // Sizes and results stay below 2 GiB, so a long is read as 32 bits; arguments are
  // numbers or pointers.
  syscall: {
    args: ["i32", "ptr", "ptr", "ptr", "ptr", "ptr"],
    returns: "i32",
  },
});

/** Functions of the C library. The module `bun:ffi` itself would cost a pod 0.4 ms. */
function bind<const Functions extends Record<string, ffi.FFIFunction>>(
  functions: Functions,
) {
  try {
    const library = Bun.FFI.dlopen(
      typeof GENIE_LIBC === "string" ? GENIE_LIBC : "libc.so.6",
      functions,
    );
    if (library instanceof Error) throw library;
    return library;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    // The calls are compiled code. Without executable memory, Bun itself still
    // runs, interpreted.
    const isDenied = /JIT|executable memory/.test(message);
    throw new Error(
      isDenied
        ? `failed to get executable memory: denied to this process (SELinux deny_execmem, MemoryDenyWriteExecute, LimitAS): ${message}`
        : `failed to load the C library: ${message}`,
      { cause },
    );
  }
}

/** posix_spawn(3) and the functions of its attributes, for few pods. */
export function bindSpawn() {
  const { symbols: spawn } = bind({
    posix_spawn: {
      args: ["ptr", "ptr", "ptr", "ptr", "ptr", "ptr"],
      returns: "i32",
    },
    posix_spawn_file_actions_init: { args: ["ptr"], returns: "i32" },
    posix_spawn_file_actions_adddup2: {
      args: ["ptr", "i32", "i32"],
      returns: "i32",
    },
    posix_spawn_file_actions_addclose: {
      args: ["ptr", "i32"],
      returns: "i32",
    },
    posix_spawnattr_init: { args: ["ptr"], returns: "i32" },
    posix_spawnattr_setflags: { args: ["ptr", "i32"], returns: "i32" },
    posix_spawnattr_setsigdefault: { args: ["ptr", "ptr"], returns: "i32" },
    posix_spawnattr_setsigmask: { args: ["ptr", "ptr"], returns: "i32" },
  });
  return spawn;
}

/** The address of an array's bytes, valid while the array is. */
export function addressOf(bytes: Uint8Array): bigint {
  return BigInt(Bun.FFI.ptr(bytes));
}

type Argument = number | Uint8Array | Uint32Array;
// oxlint-disable-next-line no-unsafe-type-assertion -- an argument is a number or a pointer: bun:ffi passes both, its types know the latter
const syscall = symbols.syscall as unknown as (
  number: number,
  ...args: readonly Argument[]
) => number;

export const isX64 = process.arch === "x64";

/** Numbers of system calls: x86-64, and the common table of newer architectures (arm64). */
export const SYS = {
  chroot: isX64 ? 161 : 51,
  clock_gettime: isX64 ? 228 : 113,
  close: isX64 ? 3 : 57,
  /** Since Linux 5.9. */
  close_range: 436,
  connect: isX64 ? 42 : 203,
  faccessat: isX64 ? 269 : 48,
  fchmod: isX64 ? 91 : 52,
  fchmodat: isX64 ? 268 : 53,
  fcntl: isX64 ? 72 : 25,
  flock: isX64 ? 73 : 32,
  fsync: isX64 ? 74 : 82,
  getdents64: isX64 ? 217 : 61,
  geteuid: isX64 ? 107 : 175,
  memfd_create: isX64 ? 319 : 279,
  mkdirat: isX64 ? 258 : 34,
  openat: isX64 ? 257 : 56,
  /** Since Linux 5.3. */
  pidfd_open: 434,
  ppoll: isX64 ? 271 : 73,
  pread64: isX64 ? 17 : 67,
  read: isX64 ? 0 : 63,
  renameat: isX64 ? 264 : 38,
  rt_sigaction: isX64 ? 13 : 134,
  setns: isX64 ? 308 : 268,
  setsockopt: isX64 ? 54 : 208,
  socket: isX64 ? 41 : 198,
  statx: isX64 ? 332 : 291,
  unlinkat: isX64 ? 263 : 35,
  unshare: isX64 ? 272 : 97,
  wait4: isX64 ? 61 : 260,
  write: isX64 ? 1 : 64,
} as const;

const EINTR = 4;

/** The result, or minus the errno; repeated after EINTR. */
export function call(
  number: number,
  a: Argument,
  b: Argument = 0,
  c: Argument = 0,
  d: Argument = 0,
  e: Argument = 0,
): number {
  for (;;) {
    const result = syscall(number, a, b, c, d, e);
    if (result >= 0) return result;
    const error = errno();
    if (error !== EINTR) return -error;
  }
}

/** Must follow the call immediately. */
function errno(): number {
  const location = symbols.__errno_location();
  return location === null ? 0 : Bun.FFI.read.i32(location, 0);
}

/** Returns the result. Throws SystemError if it is a failure. */
export function checked(result: number): number {
  if (result < 0) throw SystemError.fromNumber(-result);
  return result;
}

/** A NUL byte would end the path. */
export function cString(text: string): Uint8Array {
  if (text.includes("\0")) throw new SystemError("EINVAL");
  return bytesOf(`${text}\0`);
}

/**
 * struct timespec: seconds and nanoseconds, 64 bits each; the upper halves stay zero.
 */
const timespec = new Uint32Array(4);

/** struct pollfd: the descriptor, then two halves: the events asked for, and those that occurred. */
const pollfd = new Uint32Array(2);

const CLOCK_BOOTTIME = 7;

/** Milliseconds since boot, monotonic, the same for every process. */
export function uptimeMs(): number {
  call(SYS.clock_gettime, CLOCK_BOOTTIME, timespec);
  const { 0: seconds = 0, 2: nanoseconds = 0 } = timespec;
  return seconds * 1000 + ((nanoseconds / 1e6) | 0);
}

export const readable = 1;
export const writable = 4;

/**
 * Waits until a descriptor can be read or written without blocking (end of file and
 * errors count), at most `ms` milliseconds (Infinity is possible); false after that
 * time.
 */
export function ready(
  fd: number,
  events: typeof readable | typeof writable,
  ms: number,
): boolean {
  pollfd[0] = fd;
  pollfd[1] = events;
  if (ms === Infinity) return call(SYS.ppoll, pollfd, 1) > 0;
  const left = ms > 0 ? ms : 0;
  // The kernel writes the remaining time back, so a signal does not prolong the
  // wait. The array drops fractions.
  timespec[0] = left / 1000;
  timespec[2] = (left % 1000) * 1e6;
  return call(SYS.ppoll, pollfd, 1, timespec) > 0;
}

/** Changes the root of this process. Throws SystemError. */
export function chroot(directory: string): void {
  checked(call(SYS.chroot, cString(directory)));
}
