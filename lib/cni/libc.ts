/**
 * The few system calls that Bun does not offer, through `bun:ffi`: advisory
 * locks, anonymous files, waiting on a descriptor with a time limit.
 * It owns the choice of the C library; it must not be loaded for VERSION.
 */
import { dlopen } from "bun:ffi";

/**
 * Set by the build for each target. A name that does not exist would be looked
 * up in the working directory, so it is never guessed at run time.
 */
declare const GENIE_LIBC: string | undefined;

const { symbols } = dlopen(
  typeof GENIE_LIBC === "string" ? GENIE_LIBC : "libc.so.6",
  {
    flock: { args: ["i32", "i32"], returns: "i32" },
    memfd_create: { args: ["ptr", "u32"], returns: "i32" },
    clock_gettime: { args: ["i32", "ptr"], returns: "i32" },
    poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  },
);

const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
const MFD_CLOEXEC = 1;
const CLOCK_BOOTTIME = 7;

/** Milliseconds since the machine was started, the same for every process; no clock setting moves it. */
export function uptimeMs(): number {
  const timespec = new BigInt64Array(2);
  symbols.clock_gettime(CLOCK_BOOTTIME, timespec);
  return Number(timespec[0]) * 1000 + Number(timespec[1]) / 1e6;
}

/** Takes the exclusive lock of an open file if nobody holds it; false when it is held. */
export function tryLock(fd: number): boolean {
  return symbols.flock(fd, LOCK_EX | LOCK_NB) === 0;
}

/** Gives the lock up for every process that inherited the descriptor. */
export function unlock(fd: number): void {
  symbols.flock(fd, LOCK_UN);
}

/** A file without a name, close-on-exec; its descriptor. Throws when the kernel has none to give. */
export function anonymousFile(name: string): number {
  const fd = symbols.memfd_create(Buffer.from(`${name}\0`), MFD_CLOEXEC);
  if (fd < 0)
    throw new Error(
      `failed to create an anonymous file ${JSON.stringify(name)}`,
    );
  return fd;
}

export const readable = 1;
export const writable = 4;

/**
 * Waits until a descriptor can be read or written without blocking (end of file
 * and errors count), at most `ms` milliseconds; false when the time is over.
 */
export function ready(
  fd: number,
  events: typeof readable | typeof writable,
  ms: number,
): boolean {
  // struct pollfd: int fd, short events, short revents
  const pollfd = new Int16Array(4);
  new Int32Array(pollfd.buffer)[0] = fd;
  pollfd[2] = events;
  const end = performance.now() + ms;
  for (;;) {
    const left = Math.max(0, Math.ceil(end - performance.now()));
    const count = symbols.poll(pollfd, 1n, left);
    if (count > 0) return true;
    // Zero is the time limit; below it a signal came in between.
    if (count === 0 || left === 0) return false;
  }
}
