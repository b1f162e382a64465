/**
 * The C library through `bun:ffi`: the system calls that Bun does not offer
 * (locks, anonymous files, poll), and those on files, because loading `node:fs`
 * alone costs a pod more than a millisecond (docs/performance.md). One function
 * for a call, nothing is decided here; `files` is what others use.
 */
import { CString, dlopen, read as memory } from "bun:ffi";
import { SystemError } from "./errno.ts";
import { bytesOf } from "./text.ts";

/**
 * Set by the build for each target. A name that does not exist would be looked
 * up in the working directory, so it is never guessed at run time.
 */
declare const GENIE_LIBC: string | undefined;

// `__errno_location` is the name in glibc and in musl. Sizes and results stay below 2 GiB here, so ssize_t is read as 32 bits.
const { symbols } = dlopen(
  typeof GENIE_LIBC === "string" ? GENIE_LIBC : "libc.so.6",
  {
    __errno_location: { args: [], returns: "ptr" },
    access: { args: ["ptr", "i32"], returns: "i32" },
    clock_gettime: { args: ["i32", "ptr"], returns: "i32" },
    close: { args: ["i32"], returns: "i32" },
    closedir: { args: ["ptr"], returns: "i32" },
    flock: { args: ["i32", "i32"], returns: "i32" },
    fsync: { args: ["i32"], returns: "i32" },
    memfd_create: { args: ["ptr", "u32"], returns: "i32" },
    mkdir: { args: ["ptr", "u32"], returns: "i32" },
    open: { args: ["ptr", "i32", "u32"], returns: "i32" },
    opendir: { args: ["ptr"], returns: "ptr" },
    poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
    pread: { args: ["i32", "ptr", "u64", "i64"], returns: "i32" },
    read: { args: ["i32", "ptr", "u64"], returns: "i32" },
    readdir: { args: ["ptr"], returns: "ptr" },
    rename: { args: ["ptr", "ptr"], returns: "i32" },
    statx: { args: ["i32", "ptr", "i32", "u32", "ptr"], returns: "i32" },
    unlink: { args: ["ptr"], returns: "i32" },
    write: { args: ["i32", "ptr", "u64"], returns: "i32" },
  },
);

const { __errno_location: errnoLocation } = symbols;

/** Flags of open(2) on Linux, the same on x86-64 and arm64. */
export const Open = {
  readOnly: 0,
  writeOnly: 0o1,
  readWrite: 0o2,
  create: 0o100,
  truncate: 0o1000,
  append: 0o2000,
  nonBlocking: 0o4000,
} as const;

const O_CLOEXEC = 0o2000000;
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
const MFD_CLOEXEC = 1;
const CLOCK_BOOTTIME = 7;
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const X_OK = 1;

/** A descriptor that no executed program inherits. Throws SystemError, as all below. */
export function open(path: string, flags: number, mode = 0): number {
  const name = cString(path);
  let fd: number;
  do fd = symbols.open(name, flags | O_CLOEXEC, mode);
  while (fd < 0 && interrupted());
  return fd;
}

/** As {@link open}; undefined when there is no such file in its folder. */
export function openIfAny(
  path: string,
  flags: number,
  mode = 0,
): number | undefined {
  const name = cString(path);
  let fd: number;
  do fd = symbols.open(name, flags | O_CLOEXEC, mode);
  while (fd < 0 && interrupted(isMissing));
  return fd < 0 ? undefined : fd;
}

export function close(fd: number): void {
  symbols.close(fd);
}

/** Bytes read into `buffer`, 0 at the end. */
export function read(fd: number, buffer: Uint8Array): number {
  let count: number;
  do count = symbols.read(fd, buffer, buffer.byteLength);
  while (count < 0 && interrupted());
  return count;
}

export function readAt(fd: number, buffer: Uint8Array, offset: number): number {
  let count: number;
  do count = symbols.pread(fd, buffer, buffer.byteLength, offset);
  while (count < 0 && interrupted());
  return count;
}

/** Bytes taken, perhaps not all. */
export function write(fd: number, bytes: Uint8Array): number {
  let count: number;
  do count = symbols.write(fd, bytes, bytes.byteLength);
  while (count < 0 && interrupted());
  return count;
}

export function fsync(fd: number): void {
  while (symbols.fsync(fd) < 0 && interrupted());
}

export function rename(from: string, to: string): void {
  const [source, target] = [cString(from), cString(to)];
  while (symbols.rename(source, target) < 0 && interrupted());
}

/** Afterwards there is no such file. */
export function removeFile(path: string): void {
  const name = cString(path);
  while (symbols.unlink(name) < 0 && interrupted(isAbsent));
}

/** Nothing when there is something of that name. */
export function mkdir(path: string, mode: number): void {
  const name = cString(path);
  while (symbols.mkdir(name, mode) < 0 && interrupted(isPresent));
}

/** Throws unless we may execute the file. */
export function requireExecutable(path: string): void {
  const name = cString(path);
  while (symbols.access(name, X_OK) < 0 && interrupted());
}

/** What a file is. */
export interface Status {
  kind: "file" | "folder" | "other";
  /** Bytes. */
  size: number;
  /** `"device:inode"`, which tells a file from every other. */
  id: string;
  /** `"major:minor"` of the file system. */
  device: string;
}

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;

/** struct statx, the same on every architecture; one for all, because what it says is copied out at once. */
const statx = new Uint32Array(64);

/** Of an open file. */
export function status(fd: number): Status {
  const name = cString("");
  const flags = AT_EMPTY_PATH;
  while (
    symbols.statx(fd, name, flags, STATX_BASIC_STATS, statx) < 0 &&
    interrupted()
  );
  return statusRead();
}

/** Of a path, symbolic links followed; undefined when that is nothing. */
export function statusIfAny(path: string): Status | undefined {
  const name = cString(path);
  let result: number;
  do result = symbols.statx(AT_FDCWD, name, 0, STATX_BASIC_STATS, statx);
  while (result < 0 && interrupted(isAbsent));
  return result < 0 ? undefined : statusRead();
}

function statusRead(): Status {
  // Words of 32 bits; both architectures are little-endian.
  const { 7: mode = 0, 8: inode = 0, 9: inodeHigh = 0 } = statx;
  const { 10: size = 0, 11: sizeHigh = 0, 34: major, 35: minor } = statx;
  const format = mode & S_IFMT;
  const device = `${major}:${minor}`;
  // As a number where it is exact.
  const wholeInode =
    inodeHigh < 2 ** 21
      ? inodeHigh * 2 ** 32 + inode
      : (BigInt(inodeHigh) << 32n) | BigInt(inode);
  return {
    kind: format === S_IFREG ? "file" : format === S_IFDIR ? "folder" : "other",
    size: sizeHigh * 2 ** 32 + size,
    id: `${device}:${wholeInode}`,
    device,
  };
}

/** The names in a folder, in no order, without `.` and `..`; none when there is no such folder. */
export function listIfAny(path: string): string[] {
  const name = cString(path);
  const names: string[] = [];
  const folder = symbols.opendir(name);
  if (folder === null) {
    if (isAbsent(errno())) return names;
    throw SystemError.fromNumber(errno());
  }
  try {
    for (;;) {
      const entry = symbols.readdir(folder);
      if (entry === null) return names;
      const text = new CString(entry, direntName);
      if (text !== "." && text !== "..") names.push(text);
    }
  } finally {
    symbols.closedir(folder);
  }
}

/** struct dirent: u64 inode, i64 offset, u16 length, u8 type, name */
const direntName = 19;

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

/** Takes it together with others who share it; false while somebody has it alone. */
export function tryShare(fd: number): boolean {
  return symbols.flock(fd, LOCK_SH | LOCK_NB) === 0;
}

/** Gives the lock up for every process that inherited the descriptor. */
export function unlock(fd: number): void {
  symbols.flock(fd, LOCK_UN);
}

/** A file without a name; its descriptor, which no executed program inherits. */
export function anonymousFile(name: string): number {
  const text = cString(name);
  let fd: number;
  do fd = symbols.memfd_create(text, MFD_CLOEXEC);
  while (fd < 0 && interrupted());
  return fd;
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
  // struct pollfd: int fd, short events, short revents
  const pollfd = Int32Array.of(fd, events);
  const end = performance.now() + ms;
  for (;;) {
    const left = Math.max(0, Math.ceil(end - performance.now()));
    const count = symbols.poll(pollfd, 1, left === Infinity ? -1 : left);
    if (count > 0) return true;
    // Zero is the time limit; below it a signal came in between.
    if (count === 0 || left === 0) return false;
  }
}

/** A path with a NUL byte in it would end there. */
function cString(text: string): Uint8Array {
  if (text.includes("\0")) throw new SystemError("EINVAL");
  return bytesOf(`${text}\0`);
}

const ENOENT = 2;
const EINTR = 4;
const EEXIST = 17;
const ENOTDIR = 20;

function isMissing(number: number): boolean {
  return number === ENOENT;
}

function isAbsent(number: number): boolean {
  return number === ENOENT || number === ENOTDIR;
}

function isPresent(number: number): boolean {
  return number === EEXIST;
}

/**
 * After a call that said -1: whether a signal interrupted it, so that it is to
 * be repeated; false also for a failure that the caller expects. Nothing may come
 * between the call and this. Throws SystemError for every other failure.
 */
export function interrupted(expected?: (number: number) => boolean): boolean {
  const number = errno();
  if (number === EINTR) return true;
  if (expected?.(number)) return false;
  throw SystemError.fromNumber(number);
}

function errno(): number {
  const location = errnoLocation();
  return location === null ? 0 : memory.i32(location, 0);
}
