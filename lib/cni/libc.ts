/**
 * The C library through `bun:ffi`: the system calls that Bun does not offer
 * (locks, anonymous files, poll), and those on files, because loading `node:fs`
 * alone costs a pod more than a millisecond (docs/performance.md). One function
 * for a call, nothing is decided here; `files` is what others use.
 */
import { CString, dlopen, read as memory } from "bun:ffi";
import { SystemError } from "./errno.ts";

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
    pwrite: { args: ["i32", "ptr", "u64", "i64"], returns: "i32" },
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
  return checked(() => symbols.open(name, flags | O_CLOEXEC, mode));
}

export function close(fd: number): void {
  symbols.close(fd);
}

/** Bytes read into `buffer`, 0 at the end. */
export function read(fd: number, buffer: Uint8Array): number {
  return checked(() => symbols.read(fd, buffer, buffer.byteLength));
}

export function readAt(fd: number, buffer: Uint8Array, offset: number): number {
  return checked(() => symbols.pread(fd, buffer, buffer.byteLength, offset));
}

/** Bytes taken, perhaps not all. */
export function write(fd: number, bytes: Uint8Array): number {
  return checked(() => symbols.write(fd, bytes, bytes.byteLength));
}

export function writeAt(fd: number, bytes: Uint8Array, offset: number): number {
  return checked(() => symbols.pwrite(fd, bytes, bytes.byteLength, offset));
}

export function fsync(fd: number): void {
  checked(() => symbols.fsync(fd));
}

export function rename(from: string, to: string): void {
  const [source, target] = [cString(from), cString(to)];
  checked(() => symbols.rename(source, target));
}

export function unlink(path: string): void {
  const name = cString(path);
  checked(() => symbols.unlink(name));
}

export function mkdir(path: string, mode: number): void {
  const name = cString(path);
  checked(() => symbols.mkdir(name, mode));
}

/** Throws unless we may execute the file. */
export function requireExecutable(path: string): void {
  const name = cString(path);
  checked(() => symbols.access(name, X_OK));
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
const kinds = new Map<number, Status["kind"]>([
  [0o100000, "file"],
  [0o040000, "folder"],
]);

/** Of a path, symbolic links followed, or of an open file. */
export function status(file: string | number): Status {
  const [fd, name, flags] =
    typeof file === "number"
      ? [file, cString(""), AT_EMPTY_PATH]
      : [AT_FDCWD, cString(file), 0];
  // struct statx, the same on every architecture
  const statx = new DataView(new ArrayBuffer(256));
  const buffer = new Uint8Array(statx.buffer);
  checked(() => symbols.statx(fd, name, flags, STATX_BASIC_STATS, buffer));
  const device = `${statx.getUint32(136, true)}:${statx.getUint32(140, true)}`;
  return {
    kind: kinds.get(statx.getUint16(28, true) & S_IFMT) ?? "other",
    size: Number(statx.getBigUint64(40, true)),
    id: `${device}:${statx.getBigUint64(32, true)}`,
    device,
  };
}

/** The names in a folder, in no order, without `.` and `..`. */
export function list(path: string): string[] {
  const name = cString(path);
  const folder = symbols.opendir(name);
  if (folder === null) throw lastError();
  const names: string[] = [];
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
  return checked(() => symbols.memfd_create(text, MFD_CLOEXEC));
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
    const count = symbols.poll(pollfd, 1, left);
    if (count > 0) return true;
    // Zero is the time limit; below it a signal came in between.
    if (count === 0 || left === 0) return false;
  }
}

/** A path with a NUL byte in it would end there. */
function cString(text: string): Uint8Array {
  if (text.includes("\0")) throw new SystemError("EINVAL");
  return Buffer.from(`${text}\0`);
}

/**
 * The result of a call that says -1 for failure, repeated while signals
 * interrupt it. Nothing may come between the call and the look at errno. Throws
 * SystemError.
 */
export function checked(call: () => number | bigint): number {
  for (;;) {
    const result = Number(call());
    if (result >= 0) return result;
    const error = lastError();
    if (error.code !== "EINTR") throw error;
  }
}

function lastError(): SystemError {
  const location = errnoLocation();
  return SystemError.fromNumber(
    location === null ? 0 : memory.i32(location, 0),
  );
}
