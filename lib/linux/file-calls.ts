/**
 * System calls on files: loading `node:fs` alone costs a pod more than a
 * millisecond (docs/performance.md). One function per call; `files` reads and
 * writes whole files and directories.
 */
import { SYS, call, cString, checked, isX64 } from "./libc.ts";
import { textOf } from "./text.ts";

/** Flags of open(2) on Linux. */
export const Open = {
  readOnly: 0,
  writeOnly: 0o1,
  readWrite: 0o2,
  create: 0o100,
  /** With `create`: fails with EEXIST if the name exists. */
  exclusive: 0o200,
  truncate: 0o1000,
  append: 0o2000,
  nonBlocking: 0o4000,
  /**
   * Fails with ELOOP if the last part of the path is a symbolic link. Its number
   * differs between the two architectures.
   */
  noFollow: isX64 ? 0o400000 : 0o100000,
} as const;

/** An executed program does not inherit the descriptor. */
const O_CLOEXEC = 0o2000000;
/** -100 in the 32 bits that the kernel reads. */
const AT_FDCWD = 0xffffff9c;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const X_OK = 1;
const W_OK = 2;
const F_GETFD = 1;
const FD_CLOEXEC = 1;

const ENOENT = 2;
const EEXIST = 17;
const ENOTDIR = 20;

/** Whether the file, or a directory of its path, is missing. */
function isAbsent(result: number): boolean {
  return result === -ENOENT || result === -ENOTDIR;
}

function openat(path: string, flags: number, mode: number): number {
  const name = cString(path);
  return call(SYS.openat, AT_FDCWD, name, flags | O_CLOEXEC, mode);
}

/**
 * A descriptor that an executed program does not inherit. Throws SystemError, as
 * all functions below.
 */
export function open(path: string, flags: number, mode = 0): number {
  return checked(openat(path, flags, mode));
}

/** As {@link open}; undefined if the file is missing. */
export function openIfAny(
  path: string,
  flags: number,
  mode = 0,
): number | undefined {
  const fd = openat(path, flags, mode);
  return fd === -ENOENT ? undefined : checked(fd);
}

export function close(fd: number): void {
  call(SYS.close, fd);
}

/** Reads into `buffer`; returns the number of bytes, 0 at the end. */
export function read(fd: number, buffer: Uint8Array): number {
  return checked(call(SYS.read, fd, buffer, buffer.byteLength));
}

export function readAt(fd: number, buffer: Uint8Array, offset: number): number {
  const size = buffer.byteLength;
  return checked(call(SYS.pread64, fd, buffer, size, offset));
}

/** The number of bytes written, perhaps not all. */
export function write(fd: number, bytes: Uint8Array): number {
  return checked(call(SYS.write, fd, bytes, bytes.byteLength));
}

/** Whether an executed program does not inherit the descriptor. */
export function isCloseOnExec(fd: number): boolean {
  return (call(SYS.fcntl, fd, F_GETFD) & FD_CLOEXEC) !== 0;
}

/** The mode of an open file, whatever the umask. */
export function setMode(fd: number, mode: number): void {
  checked(call(SYS.fchmod, fd, mode));
}

export function fsync(fd: number): void {
  checked(call(SYS.fsync, fd));
}

export function rename(from: string, to: string): void {
  const [source, target] = [cString(from), cString(to)];
  checked(call(SYS.renameat, AT_FDCWD, source, AT_FDCWD, target));
}

/** Removes the name; succeeds if it is missing. */
export function removeFile(path: string): void {
  const result = call(SYS.unlinkat, AT_FDCWD, cString(path));
  if (!isAbsent(result)) checked(result);
}

/** The mode whatever the umask. Succeeds, and changes nothing, if the name exists. */
export function mkdir(path: string, mode: number): void {
  const name = cString(path);
  const result = call(SYS.mkdirat, AT_FDCWD, name, mode);
  if (result === -EEXIST) return;
  checked(result);
  checked(call(SYS.fchmodat, AT_FDCWD, name, mode));
}

/** Throws unless this process may execute the file. */
export function requireExecutable(path: string): void {
  checked(call(SYS.faccessat, AT_FDCWD, cString(path), X_OK));
}

/** Throws unless this process may write to the file or directory. */
export function requireWritable(path: string): void {
  checked(call(SYS.faccessat, AT_FDCWD, cString(path), W_OK));
}

/** Type and attributes of a file. */
export interface Status {
  kind: "file" | "directory" | "other";
  /** The permission bits. */
  mode: number;
  /** The user ID of its owner. */
  owner: number;
  /** Bytes. */
  size: number;
  /** `"device:inode"`, the identity of a file. */
  id: string;
  /** `"major:minor"` of the file system. */
  device: string;
  /** Time of the last change of its content, in milliseconds since 1970. */
  modifiedMs: number;
}

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;

/**
 * struct statx, the same on every architecture. One buffer for all calls: its
 * content is copied at once.
 */
const statx = new Uint32Array(64);

/** The status of an open file. */
export function status(fd: number): Status {
  const [name, flags] = [cString(""), AT_EMPTY_PATH];
  checked(call(SYS.statx, fd, name, flags, STATX_BASIC_STATS, statx));
  return statusRead();
}

/** The status of a path, through symbolic links; undefined if it is missing. */
export function statusIfAny(path: string): Status | undefined {
  return statusAt(path, 0);
}

/** As {@link statusIfAny}, but of the symbolic link itself. */
export function linkStatusIfAny(path: string): Status | undefined {
  return statusAt(path, AT_SYMLINK_NOFOLLOW);
}

function statusAt(path: string, flags: number): Status | undefined {
  const [name, mask] = [cString(path), STATX_BASIC_STATS];
  const result = call(SYS.statx, AT_FDCWD, name, flags, mask, statx);
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

/** A separate function: a function that names a global initialises it at its first call. */
function wideInode(high: number, low: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}

let user: number | undefined;

/** The effective user ID, which never changes. */
export function effectiveUser(): number {
  return (user ??= call(SYS.geteuid, 0));
}

/** struct linux_dirent64: u64 inode, i64 offset, u16 length, u8 type, name and NUL */
const direntLength = 16;
const direntName = 19;

/**
 * The names in a directory that end with `suffix`, unordered, without `.` and `..`;
 * none if the directory is missing. ENOTDIR for a file.
 */
export function listIfAny(path: string, suffix = ""): string[] {
  const names: string[] = [];
  const fd = openat(path, Open.readOnly | Open.nonBlocking, 0);
  if (isAbsent(fd)) return names;
  checked(fd);
  const buffer = new Uint8Array(suffix === "" ? 16 << 10 : 64 << 10);
  try {
    for (;;) {
      const size = call(SYS.getdents64, fd, buffer, buffer.byteLength);
      // -ENOENT: it was removed meanwhile.
      if (size === -ENOENT || checked(size) === 0) return names;
      addNames(buffer.subarray(0, size), suffix, names);
    }
  } finally {
    close(fd);
  }
}

/**
 * Moves the names of `entries`, each with its NUL, to the front and cuts them from one
 * text: a view of the bytes for each name, or an array that grows, leaves more on the heap.
 */
function addNames(entries: Uint8Array, suffix: string, names: string[]): void {
  let count = 0;
  let length = 0;
  for (let at = 0; at < entries.length; count++) {
    const { [at + direntLength]: low = 0, [at + direntLength + 1]: high = 0 } =
      entries;
    const start = at + direntName;
    const end = entries.indexOf(0, start) + 1;
    entries.copyWithin(length, start, end);
    length += end - start;
    at += low | (high << 8);
  }
  const text = textOf(entries.subarray(0, length));
  // Fast path: of thousands of names most have another end.
  if (!text.includes(`${suffix}\0`)) return;
  let used = names.length;
  names.length += count;
  for (let at = 0; at < text.length;) {
    const end = text.indexOf("\0", at);
    const name = text.slice(at, end);
    if (name !== "." && name !== ".." && name.endsWith(suffix))
      names[used++] = name;
    at = end + 1;
  }
  names.length = used;
}
