/**
 * System calls through `bun:ffi`: those that Bun does not offer (locks, anonymous
 * files, poll), and those on files, because loading `node:fs` alone costs a pod
 * more than a millisecond. All go through syscall(2) of the C library: to bind it
 * once and not a function for each call saves a pod 0.3 ms, 10 KiB for each, and
 * with that a thread (docs/performance.md). One function for a call, nothing is
 * decided here; `files` is what others use.
 */
import type * as ffi from "bun:ffi";
import { ceilMs } from "./deadline.ts";
import { SystemError } from "./errno.ts";
import { bytesOf, textOf } from "./text.ts";

declare module "bun" {
  /** What the module `bun:ffi` is made of. Unlike there, `dlopen` returns an error. */
  // oxlint-disable-next-line no-unused-vars -- adds to the types of Bun what they lack
  const FFI: Pick<typeof ffi, "dlopen" | "read">;
}

/**
 * Set by the build for each target. A name that does not exist would be looked
 * up in the working directory, so it is never guessed at run time.
 */
declare const GENIE_LIBC: string | undefined;

const { symbols } = bind();

// Not the module, which costs a pod 0.4 ms and brings a thread nearer.
function bind() {
  try {
    const library = Bun.FFI.dlopen(
      typeof GENIE_LIBC === "string" ? GENIE_LIBC : "libc.so.6",
      {
        // The name in glibc and in musl.
        __errno_location: { args: [], returns: "ptr" },
        // Sizes and results stay below 2 GiB here, so a long is read as 32 bits; a number is as good an argument as a pointer.
        syscall: {
          args: ["i32", "ptr", "ptr", "ptr", "ptr", "ptr"],
          returns: "i32",
        },
      },
    );
    if (library instanceof Error) throw library;
    return library;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    // The calls are compiled; without executable memory Bun itself runs on, interpreted.
    const isDenied = /JIT|executable memory/.test(message);
    throw new Error(
      isDenied
        ? `failed to get executable memory: denied to this process (SELinux deny_execmem, MemoryDenyWriteExecute): ${message}`
        : `failed to load the C library: ${message}`,
      { cause },
    );
  }
}

type Argument = number | Uint8Array | Uint32Array;
// oxlint-disable-next-line no-unsafe-type-assertion -- an argument is a number or a pointer: bun:ffi passes both, its types know the latter
const syscall = symbols.syscall as unknown as (
  number: number,
  ...args: readonly Argument[]
) => number;

/** Numbers of system calls: x86-64, and the table that Linux has had for new architectures since arm64. */
const isX64 = process.arch === "x64";
const SYS_read = isX64 ? 0 : 63;
const SYS_write = isX64 ? 1 : 64;
const SYS_close = isX64 ? 3 : 57;
const SYS_pread64 = isX64 ? 17 : 67;
const SYS_rt_sigaction = isX64 ? 13 : 134;
const SYS_socket = isX64 ? 41 : 198;
const SYS_connect = isX64 ? 42 : 203;
const SYS_setsockopt = isX64 ? 54 : 208;
const SYS_setns = isX64 ? 308 : 268;
const SYS_wait4 = isX64 ? 61 : 260;
const SYS_fcntl = isX64 ? 72 : 25;
const SYS_flock = isX64 ? 73 : 32;
const SYS_fsync = isX64 ? 74 : 82;
const SYS_geteuid = isX64 ? 107 : 175;
const SYS_getdents64 = isX64 ? 217 : 61;
const SYS_clock_gettime = isX64 ? 228 : 113;
const SYS_openat = isX64 ? 257 : 56;
const SYS_mkdirat = isX64 ? 258 : 34;
const SYS_unlinkat = isX64 ? 263 : 35;
const SYS_renameat = isX64 ? 264 : 38;
const SYS_faccessat = isX64 ? 269 : 48;
const SYS_ppoll = isX64 ? 271 : 73;
const SYS_memfd_create = isX64 ? 319 : 279;
/** Of Linux 5.3. */
const SYS_pidfd_open = 434;
const SYS_close_range = 436;
const SYS_statx = isX64 ? 332 : 291;

/** Flags of open(2) on Linux. */
export const Open = {
  readOnly: 0,
  writeOnly: 0o1,
  readWrite: 0o2,
  create: 0o100,
  /** With `create`: fails with EEXIST where there is anything of that name. */
  exclusive: 0o200,
  truncate: 0o1000,
  append: 0o2000,
  nonBlocking: 0o4000,
  /** Fails with ELOOP where the last part of the path is a symbolic link; the one flag that the two number differently. */
  noFollow: isX64 ? 0o400000 : 0o100000,
} as const;

const O_CLOEXEC = 0o2000000;
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
const MFD_CLOEXEC = 1;
const F_GETFD = 1;
const F_SETFL = 4;
const FD_CLOEXEC = 1;
const CLOSE_RANGE_CLOEXEC = 4;
const WNOHANG = 1;
const SIGCHLD = 17;
const CLOCK_BOOTTIME = 7;
/** -100 in the 32 bits that the kernel looks at. */
const AT_FDCWD = 0xffffff9c;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const X_OK = 1;

const CLONE_NEWNET = 0x40000000;
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const NETLINK_ROUTE = 0;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;

const EPERM = 1;
const ENOENT = 2;
const EINTR = 4;
const EWOULDBLOCK = 11;
const EACCES = 13;
const EEXIST = 17;
const ENOTDIR = 20;
const ENOSYS = 38;

/** The result, or minus the errno; repeated while signals interrupt it. */
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

/** Nothing may come between the call and this. */
function errno(): number {
  const location = symbols.__errno_location();
  return location === null ? 0 : Bun.FFI.read.i32(location, 0);
}

/** The same result. Throws SystemError for a failure. */
export function checked(result: number): number {
  if (result < 0) throw SystemError.fromNumber(-result);
  return result;
}

/** Whether there is no file of that name, or no directory on the way to it. */
function isAbsent(result: number): boolean {
  return result === -ENOENT || result === -ENOTDIR;
}

/** A path with a NUL byte in it would end there. */
function cString(text: string): Uint8Array {
  if (text.includes("\0")) throw new SystemError("EINVAL");
  return bytesOf(`${text}\0`);
}

function openat(path: string, flags: number, mode: number): number {
  const name = cString(path);
  return call(SYS_openat, AT_FDCWD, name, flags | O_CLOEXEC, mode);
}

/** A descriptor that no executed program inherits. Throws SystemError, as all below. */
export function open(path: string, flags: number, mode = 0): number {
  return checked(openat(path, flags, mode));
}

/** As {@link open}; undefined when there is no such file in its directory. */
export function openIfAny(
  path: string,
  flags: number,
  mode = 0,
): number | undefined {
  const fd = openat(path, flags, mode);
  return fd === -ENOENT ? undefined : checked(fd);
}

export function close(fd: number): void {
  call(SYS_close, fd);
}

/** Bytes read into `buffer`, 0 at the end. */
export function read(fd: number, buffer: Uint8Array): number {
  return checked(call(SYS_read, fd, buffer, buffer.byteLength));
}

export function readAt(fd: number, buffer: Uint8Array, offset: number): number {
  const size = buffer.byteLength;
  return checked(call(SYS_pread64, fd, buffer, size, offset));
}

/** Bytes taken, perhaps not all. */
export function write(fd: number, bytes: Uint8Array): number {
  return checked(call(SYS_write, fd, bytes, bytes.byteLength));
}

export function fsync(fd: number): void {
  checked(call(SYS_fsync, fd));
}

export function rename(from: string, to: string): void {
  const [source, target] = [cString(from), cString(to)];
  checked(call(SYS_renameat, AT_FDCWD, source, AT_FDCWD, target));
}

/** Afterwards there is no such file. */
export function removeFile(path: string): void {
  const result = call(SYS_unlinkat, AT_FDCWD, cString(path));
  if (!isAbsent(result)) checked(result);
}

/** Nothing when there is something of that name. */
export function mkdir(path: string, mode: number): void {
  const result = call(SYS_mkdirat, AT_FDCWD, cString(path), mode);
  if (result !== -EEXIST) checked(result);
}

/** Throws unless we may execute the file. */
export function requireExecutable(path: string): void {
  checked(call(SYS_faccessat, AT_FDCWD, cString(path), X_OK));
}

/** What a file is. */
export interface Status {
  kind: "file" | "directory" | "other";
  /** The permission bits. */
  mode: number;
  /** The number of its owner. */
  owner: number;
  /** Bytes. */
  size: number;
  /** `"device:inode"`, which tells a file from every other. */
  id: string;
  /** `"major:minor"` of the file system. */
  device: string;
  /** When its content was last written, in milliseconds since 1970. */
  modifiedMs: number;
}

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;

/** struct statx, the same on every architecture; one for all, because what it says is copied out at once. */
const statx = new Uint32Array(64);

/** Of an open file. */
export function status(fd: number): Status {
  const [name, flags] = [cString(""), AT_EMPTY_PATH];
  checked(call(SYS_statx, fd, name, flags, STATX_BASIC_STATS, statx));
  return statusRead();
}

/** Of a path, symbolic links followed; undefined when that is nothing. */
export function statusIfAny(path: string): Status | undefined {
  return statusAt(path, 0);
}

/** As {@link statusIfAny}, but of the last part of the path itself where that is a symbolic link. */
export function linkStatusIfAny(path: string): Status | undefined {
  return statusAt(path, AT_SYMLINK_NOFOLLOW);
}

function statusAt(path: string, flags: number): Status | undefined {
  const [name, mask] = [cString(path), STATX_BASIC_STATS];
  const result = call(SYS_statx, AT_FDCWD, name, flags, mask, statx);
  if (isAbsent(result)) return undefined;
  checked(result);
  return statusRead();
}

function statusRead(): Status {
  // Words of 32 bits; both architectures are little-endian.
  const { 5: owner = 0, 7: mode = 0, 8: inode = 0, 9: inodeHigh = 0 } = statx;
  const { 10: size = 0, 11: sizeHigh = 0, 34: major, 35: minor } = statx;
  const { 28: seconds = 0, 29: secondsHigh = 0, 30: nanoseconds = 0 } = statx;
  const format = mode & S_IFMT;
  const device = `${major}:${minor}`;
  // As a number where it is exact.
  const wholeInode =
    inodeHigh < 2 ** 21
      ? inodeHigh * 2 ** 32 + inode
      : wideInode(inodeHigh, inode);
  return {
    kind:
      format === S_IFREG ? "file" : format === S_IFDIR ? "directory" : "other",
    mode: mode & 0o7777,
    owner,
    size: sizeHigh * 2 ** 32 + size,
    id: `${device}:${wholeInode}`,
    device,
    modifiedMs:
      (secondsHigh * 2 ** 32 + seconds) * 1000 + nanoseconds / 1_000_000,
  };
}

/** Apart, because a function that names a global has it made when it is first called. */
function wideInode(high: number, low: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}

/** The user whose rights we have. */
export function effectiveUser(): number {
  return call(SYS_geteuid, 0);
}

/** struct linux_dirent64: u64 inode, i64 offset, u16 length, u8 type, name and NUL */
const direntLength = 16;
const direntName = 19;

/**
 * The names in a directory that end with `suffix`, in no order, without `.` and `..`;
 * none when there is no such directory.
 */
export function listIfAny(path: string, suffix = ""): string[] {
  const names: string[] = [];
  const fd = openat(path, Open.readOnly | Open.nonBlocking, 0);
  if (isAbsent(fd)) return names;
  checked(fd);
  const buffer = new Uint8Array(suffix === "" ? 16 << 10 : 64 << 10);
  try {
    for (;;) {
      const size = call(SYS_getdents64, fd, buffer, buffer.byteLength);
      // What is opened is no directory.
      if (isAbsent(size)) return names;
      if (checked(size) === 0) return names;
      const entries = buffer.subarray(0, size);
      // Of thousands of names most have another end, and are not looked at one by one.
      if (suffix === "" || textOf(entries).includes(`${suffix}\0`))
        addNames(entries, suffix, names);
    }
  } finally {
    close(fd);
  }
}

function addNames(entries: Uint8Array, suffix: string, names: string[]): void {
  let at = 0;
  while (at < entries.length) {
    const end = entries.indexOf(0, at + direntName);
    const name = textOf(entries.subarray(at + direntName, end));
    if (name !== "." && name !== ".." && name.endsWith(suffix))
      names.push(name);
    const { [at + direntLength]: low = 0, [at + direntLength + 1]: high = 0 } =
      entries;
    at += low | (high << 8);
  }
}

/**
 * struct timespec: seconds and nanoseconds, 64 bits each; the upper halves stay zero.
 * One array for all and one type of array for everything: each further type costs a
 * pod 0.02 ms.
 */
const timespec = new Uint32Array(4);

/** struct pollfd: the descriptor, then two halves, what is asked and what is answered. */
const pollfd = new Uint32Array(2);

/** Milliseconds since the machine was started, the same for every process; no clock setting moves it. */
export function uptimeMs(): number {
  call(SYS_clock_gettime, CLOCK_BOOTTIME, timespec);
  const { 0: seconds = 0, 2: nanoseconds = 0 } = timespec;
  return seconds * 1000 + nanoseconds / 1e6;
}

/** Takes the exclusive lock of an open file; false when somebody holds it. Throws SystemError for every other failure. */
export function tryLock(fd: number): boolean {
  return flock(fd, LOCK_EX | LOCK_NB);
}

/** Takes the lock together with others who share it; false while somebody has it alone. Throws as {@link tryLock}. */
export function tryShare(fd: number): boolean {
  return flock(fd, LOCK_SH | LOCK_NB);
}

/** Only EWOULDBLOCK means held: ENOLCK, EIO and the like never pass by themselves. */
function flock(fd: number, operation: number): boolean {
  const result = call(SYS_flock, fd, operation);
  if (result !== -EWOULDBLOCK) checked(result);
  return result === 0;
}

/** Gives the lock up for every process that inherited the descriptor. */
export function unlock(fd: number): void {
  call(SYS_flock, fd, LOCK_UN);
}

/** A file in memory without a name; undefined where the kernel or a policy allows none. */
export function memoryFile(name: string): number | undefined {
  const fd = call(SYS_memfd_create, cString(name), MFD_CLOEXEC);
  const isDenied = fd === -ENOSYS || fd === -EPERM || fd === -EACCES;
  return isDenied ? undefined : checked(fd);
}

/** From now on whatever is written through the descriptor, by whoever inherits it, goes to the end of the file. */
export function appendOnly(fd: number): void {
  checked(call(SYS_fcntl, fd, F_SETFL, Open.append));
}

/** Whether an executed program does not inherit the descriptor. */
export function isCloseOnExec(fd: number): boolean {
  return (call(SYS_fcntl, fd, F_GETFD) & FD_CLOEXEC) !== 0;
}

/** Has no executed program inherit the descriptors from `first` on; nothing where the kernel cannot (before Linux 5.11). */
export function closeOnExec(first: number): void {
  call(SYS_close_range, first, 0xffffffff, CLOSE_RANGE_CLOEXEC);
}

/** The wait status of a child that has ended and that nobody else waits for; undefined while it runs. */
export function reap(pid: number): number | undefined {
  const pids = call(SYS_wait4, pid, waitStatus, WNOHANG);
  return checked(pids) === 0 ? undefined : waitStatus[0];
}

const waitStatus = new Uint32Array(1);

/** struct sigaction of the kernel: SIG_DFL, no flags. */
const defaultAction = new Uint32Array(8);

/** Where SIGCHLD was ignored when we were started, the kernel would tell nobody how a child ended. */
export function acceptChildren(): void {
  checked(call(SYS_rt_sigaction, SIGCHLD, defaultAction, 0, 8));
}

/** Moves the calling thread, and no other, into a network namespace. Throws SystemError. */
export function setns(fd: number): void {
  checked(call(SYS_setns, fd, CLONE_NEWNET));
}

/**
 * An rtnetlink socket of the network namespace that the thread is in now; it
 * keeps that namespace. A read waits `ms` milliseconds at most. Throws SystemError.
 */
export function routeSocket(ms: number): number {
  const type = SOCK_RAW | O_CLOEXEC;
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

export const readable = 1;
export const writable = 4;

/**
 * Waits until a descriptor can be read or written without blocking (end of file
 * and errors count), at most `ms` milliseconds, which may be Infinity; false when
 * the time is over.
 */
export function ready(
  fd: number,
  events: typeof readable | typeof writable,
  ms: number,
): boolean {
  pollfd[0] = fd;
  pollfd[1] = events;
  if (ms === Infinity) return call(SYS_ppoll, pollfd, 1) > 0;
  const whole = ms > 0 ? ceilMs(ms) : 0;
  // What is left of it is written back, so a signal costs no time.
  timespec[0] = (whole / 1000) | 0;
  timespec[2] = (whole % 1000) * 1_000_000;
  return call(SYS_ppoll, pollfd, 1, timespec) > 0;
}

/**
 * Waits for the end of a child that nobody has waited for yet, at most `ms`
 * milliseconds. False when the time is over, and where the kernel cannot tell.
 */
export function endsWithin(pid: number, ms: number): boolean {
  const fd = call(SYS_pidfd_open, pid);
  if (fd < 0) return false;
  try {
    return ready(fd, readable, ms);
  } finally {
    close(fd);
  }
}
