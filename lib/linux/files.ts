/**
 * Reads and writes whole files and directories, with one system call if one is
 * enough. Failures are `SystemError`s with the errno's name in `code`.
 */
import { SystemError, UnsafeDirectory, errnoOf, messageOf } from "./errno.ts";
import { quote, bytesOf, textOf } from "./text.ts";
import {
  Open,
  close,
  effectiveUser,
  linkStatusIfAny,
  mkdir,
  open,
  openIfAny,
  read,
  removeFile,
  rename,
  setMode,
  status,
  type Status,
  statusIfAny,
  write,
} from "./file-calls.ts";

export {
  linkStatusIfAny,
  listIfAny,
  removeFile,
  statusIfAny,
} from "./file-calls.ts";

/** Whether there is anything at that path, also a dangling link; false if that cannot be known. */
export function linkExists(path: string): boolean {
  try {
    return linkStatusIfAny(path) !== undefined;
  } catch {
    return false;
  }
}

/** One buffer for all files: most files fit, and a new buffer each time would be garbage. */
const scratch = new Uint8Array(64 << 10);

/** O_NONBLOCK: opening a FIFO must not block; nothing is read from it. */
const reading = Open.readOnly | Open.nonBlocking;

/** The text of a file; invalid UTF-8 becomes U+FFFD. */
export function readFile(path: string): string {
  return textOfOpen(open(path, reading));
}

/**
 * Not a regular file (a symbolic link, a device, a FIFO, a directory), larger than its
 * limit, or damaged on the disk.
 */
export class UnreadableFile extends Error {}

/**
 * The text of a file in a directory of ours ({@link requireOwnDirectory}), if it exists:
 * reads regular files only and follows no symbolic link. Throws `UnreadableFile`.
 */
export function readOwnFileIfAny(
  path: string,
  maxBytes?: number,
): string | undefined {
  try {
    const fd = openIfAny(path, reading | Open.noFollow);
    if (fd === undefined) return undefined;
    if (status(fd).kind === "file") return textOfOpen(fd, maxBytes);
    close(fd);
  } catch (cause) {
    const errno = errnoOf(cause) ?? "";
    if (/^(?:EIO|EUCLEAN|EBADMSG)$/.test(errno))
      throw new UnreadableFile(messageOf(cause), { cause });
    // A symbolic link, or a socket.
    if (!/^(?:ELOOP|ENXIO)$/.test(errno)) throw cause;
  }
  throw new UnreadableFile("not a regular file");
}

/** Whether a file is ours alone: no link, and no other user has written it. */
export function isOwnFile(path: string): boolean {
  const found = linkStatusIfAny(path);
  return (
    found?.kind === "file" &&
    found.owner === effectiveUser() &&
    (found.mode & 0o022) === 0
  );
}

/** Closes the file. Throws `UnreadableFile` above `maxBytes`. */
function textOfOpen(fd: number, maxBytes = Infinity): string {
  let size = 0;
  try {
    const bytes = readToEnd((buffer) => {
      const count = read(fd, buffer);
      size += count;
      if (size > maxBytes)
        throw new UnreadableFile(`larger than ${maxBytes} bytes`);
      return count;
    });
    return textOf(bytes);
  } finally {
    close(fd);
  }
}

/**
 * The text of a file in a directory that other users write. Opens regular files
 * only (through links): opening or reading a device could block, never end or start
 * something. Throws for another kind, and above `maxBytes`.
 */
export function readRegularFile(path: string, maxBytes: number): string {
  const found = statusIfAny(path);
  if (!found) throw new SystemError("ENOENT");
  if (found.kind === "directory") throw new SystemError("EISDIR");
  if (found.kind !== "file") throw new UnreadableFile("not a regular file");
  return textOfOpen(open(path, reading), maxBytes);
}

/** Everything that `next` reads until its end; valid until the next call. */
export function readToEnd(next: (buffer: Uint8Array) => number): Uint8Array {
  let size = 0;
  const earlier: Uint8Array[] = [];
  for (;;) {
    if (size === scratch.length) {
      earlier.push(scratch.slice());
      size = 0;
    }
    const count = next(scratch.subarray(size));
    if (count === 0) break;
    size += count;
  }
  const last = scratch.subarray(0, size);
  return earlier.length === 0 ? last : concat([...earlier, last]);
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Makes or replaces a file, by {@link createFile}. */
export function writeFile(path: string, text: string, mode: number): void {
  const fd = createFile(path, mode);
  try {
    writeAll(fd, text);
  } finally {
    close(fd);
  }
}

/** Replaces a file at once or not at all; never synced. Throws SystemError: then the file is as before. */
export function replaceFile(path: string, text: string, mode = 0o600): void {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const temporary = `${directoryOf(path)}/.${name}.new`;
  try {
    writeFile(temporary, text, mode);
    rename(temporary, path);
  } catch (error) {
    removeFile(temporary);
    throw error;
  }
}

/**
 * Opens a new file for writing; the mode whatever the umask. An existing name is removed,
 * never written to: it may be a link.
 */
export function createFile(path: string, mode: number): number {
  const fd = openNew(path, mode);
  try {
    setMode(fd, mode);
  } catch (error) {
    close(fd);
    throw error;
  }
  return fd;
}

function openNew(path: string, mode: number): number {
  const flags = Open.writeOnly | Open.create | Open.exclusive | Open.noFollow;
  try {
    return open(path, flags, mode);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
    removeFile(path);
    return open(path, flags, mode);
  }
}

/**
 * Opens an existing file in a directory of ours at its end; undefined if it is missing,
 * has `maxBytes`, or is no regular file there. Never creates it, and never throws.
 */
export function openToAppend(
  directory: string,
  name: string,
  maxBytes: number,
): number | undefined {
  try {
    const fd = openIfAny(`${directory}/${name}`, appending);
    if (fd === undefined) return undefined;
    const { kind, size } = status(fd);
    const inside = statusIfAny(directory);
    if (
      kind === "file" &&
      size < maxBytes &&
      inside &&
      !ownershipProblem(inside)
    )
      return fd;
    close(fd);
  } catch {
    // A symbolic link, a FIFO without a reader, a denied directory.
  }
  return undefined;
}

/** O_NONBLOCK: opening a FIFO must not block. */
const appending =
  Open.writeOnly | Open.append | Open.nonBlocking | Open.noFollow;

/** "" for the root and for a name without directory. */
export function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

/**
 * Requires that no other user can write to a directory of ours or to its parent: a
 * symbolic link there could make us overwrite any file. Succeeds if it is missing.
 * Throws UnsafeDirectory naming the fault.
 */
export function requireOwnDirectory(path: string): void {
  const parent = directoryOf(path);
  // An administrator may make the parent a symbolic link.
  requireOwn(parent, statusIfAny);
  requireOwn(path, linkStatusIfAny);
}

/** A directory that cannot be looked at (ENAMETOOLONG, ELOOP, EACCES) is refused as well. */
function requireOwn(path: string, statusOf: typeof statusIfAny): void {
  let problem: string | undefined;
  try {
    const found = statusOf(path);
    problem = found && ownershipProblem(found);
  } catch (error) {
    problem = messageOf(error);
  }
  if (problem === undefined) return;
  throw new UnsafeDirectory(`refusing directory ${quote(path)}: ${problem}`);
}

function ownershipProblem({ kind, owner, mode }: Status): string | undefined {
  if (kind !== "directory") return "it is not a directory";
  const user = effectiveUser();
  if (owner !== user)
    return `it belongs to user ${owner}, expected user ${user}`;
  return (mode & 0o022) === 0
    ? undefined
    : `group or others may write to it (mode ${mode.toString(8).padStart(4, "0")})`;
}

/**
 * Makes a directory of ours in another of ours, mode 0700. Throws as {@link
 * requireOwnDirectory}, and SystemError.
 */
export function makeOwnDirectory(path: string): void {
  makeDirectory(directoryOf(path), 0o700);
  makeDirectory(path, 0o700);
  // Another process may have made them meanwhile.
  requireOwnDirectory(path);
}

/** Makes a directory and its parents; succeeds if it exists. */
export function makeDirectory(path: string, mode: number): void {
  try {
    mkdir(path, mode);
  } catch (error) {
    const parent = directoryOf(path);
    if (errnoOf(error) !== "ENOENT" || parent === "") throw error;
    // The parents belong to the system.
    makeDirectory(parent, 0o755);
    // Not again with its parents: `/proc` says ENOENT whatever is there.
    mkdir(path, mode);
  }
}

export function writeAll(fd: number, text: string): void {
  let bytes = bytesOf(text);
  while (bytes.byteLength > 0) bytes = bytes.subarray(write(fd, bytes));
}
