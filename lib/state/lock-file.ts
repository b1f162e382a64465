/**
 * The file of a container's lock: its place, how it is opened and taken, and its
 * replacement on a read-only disk. `lock` has the protocol.
 */
import { Code, CniError } from "../cni/error.ts";
import { UnsafeDirectory, errnoOf, messageOf } from "../linux/errno.ts";
import { Open, close, open, openIfAny, status } from "../linux/file-calls.ts";
import { tryShare } from "../linux/flock.ts";
import { directoryOf, linkStatusIfAny, statusIfAny } from "../linux/files.ts";
import { makeOwnDirectory, requireOwnDirectory } from "../linux/own-files.ts";
import { quote } from "../linux/text.ts";
import { remove } from "./record-files.ts";

export function lockPath(dataDir: string, containerId: string): string {
  const name =
    containerId.length > 200
      ? new Bun.CryptoHasher("sha256").update(containerId).digest("hex")
      : containerId;
  return `${dataDir}/locks/${name}`;
}

/** O_NOFOLLOW: a symbolic link is not a lock of ours. O_NONBLOCK: opening a FIFO must not block. */
const opening = Open.readWrite | Open.noFollow | Open.nonBlocking;

/** Makes the file if there is none. Throws 5 and 11. */
export function openLock(path: string): number {
  const flags = opening | Open.create;
  const directory = directoryOf(path);
  requireOwnDirectory(directory);
  try {
    const fd = openIfAny(path, flags, 0o600);
    if (fd !== undefined) return fd;
    makeOwnDirectory(directory);
    return open(path, flags, 0o600);
  } catch (cause) {
    const errno = errnoOf(cause) ?? "";
    if (isForeign.test(errno)) {
      // Another genie may have done so meanwhile.
      if (linkStatusIfAny(path)?.kind !== "file") removeForeign(path);
      return openLock(path);
    }
    const instead = unwritable.test(errno)
      ? openInstead(path, directory)
      : undefined;
    if (instead === undefined) throw openError(path, cause);
    return instead;
  }
}

/** A directory, a symbolic link, a socket: no genie makes one, so it is nobody's lock. */
const isForeign = /^(?:EISDIR|ELOOP|ENXIO)$/;

function removeForeign(path: string): void {
  try {
    remove(path);
  } catch (cause) {
    throw openError(path, cause);
  }
}

/** The disk became read-only, or has no inode left. */
const unwritable = /^(?:EROFS|ENOSPC|EDQUOT)$/;

/**
 * For a disk on which no lock file can be created, because DEL must work there too: the
 * existing file, whose lock an orphan may have, else the directory, which is then one lock
 * for all containers.
 */
function openInstead(path: string, directory: string): number | undefined {
  const flags = Open.readOnly | Open.noFollow;
  return (
    openIfAny(path, flags | Open.nonBlocking) ?? openIfAny(directory, flags)
  );
}

/**
 * The directory, if it is taken as in {@link openInstead}: its owner, or an orphan of it,
 * may still work after the disk became writable.
 */
export function takenDirectory(path: string, fd: number): number | undefined {
  // It is our own lock.
  if (status(fd).kind === "directory") return undefined;
  const directory = openDirectory(directoryOf(path));
  if (!take(tryShare, directory, path)) return directory;
  close(directory);
  return undefined;
}

function openDirectory(path: string): number {
  try {
    return open(path, Open.readOnly | Open.noFollow);
  } catch (cause) {
    throw openError(path, cause);
  }
}

/** undefined also for what is never a lock. */
export function openIfLeft(path: string): number | undefined {
  try {
    return openIfAny(path, opening);
  } catch (cause) {
    if (isForeign.test(errnoOf(cause) ?? "")) return undefined;
    throw openError(path, cause);
  }
}

/**
 * Whether the locked file still has the name; for the directory of {@link openInstead},
 * whether there is still no file. Removes a FIFO or a device, which is never a lock. Throws 5.
 */
export function isStillNamed(path: string, fd: number): boolean {
  const { kind, id } = status(fd);
  if (kind === "directory") return statusIfAny(path) === undefined;
  const isNamed = statusIfAny(path)?.id === id;
  if (kind === "file" || !isNamed) return isNamed;
  removeForeign(path);
  return false;
}

/**
 * Whether flock took it; false if another process has it. Throws 5 for every other
 * failure, which is permanent.
 */
export function take(
  flock: (fd: number) => boolean,
  fd: number,
  path: string,
): boolean {
  try {
    return flock(fd);
  } catch (cause) {
    throw lockError("take lock", path, cause);
  }
}

/** 5, or 11 where the node has too few descriptors now. */
export function openError(path: string, cause: unknown): CniError {
  return lockError("open lock", path, cause, CniError.from(cause).code);
}

function lockError(
  action: string,
  path: string,
  cause: unknown,
  code: number = Code.io,
): CniError {
  if (cause instanceof UnsafeDirectory) return CniError.from(cause);
  const errno = errnoOf(cause);
  const problem =
    errno === "ELOOP" ? "it is a symbolic link" : messageOf(cause);
  const name = errno === undefined ? "" : ` (${errno})`;
  return new CniError(
    code,
    `failed to ${action} ${quote(path)}: ${problem}${name}`,
    { cause },
  );
}
