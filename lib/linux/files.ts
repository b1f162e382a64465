/**
 * Files as genie uses them: whole texts, whole directories, one system call where
 * one is enough. Failures are `SystemError`s with the errno's name in `code`.
 */
import { SystemError, UnsafeDirectory, errnoOf } from "./errno.ts";
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

/** One for all: almost every file is smaller, and a fresh one each time would be work for the collector. */
const scratch = new Uint8Array(64 << 10);

/** Never waits: of a named pipe nothing is read. */
const reading = Open.readOnly | Open.nonBlocking;

/** The text of a file; what is not UTF-8 becomes U+FFFD. */
export function readFile(path: string): string {
  return textOfOpen(open(path, reading));
}

/** As {@link readFile}; undefined when there is no such file. */
export function readFileIfAny(path: string): string | undefined {
  const fd = openIfAny(path, reading);
  return fd === undefined ? undefined : textOfOpen(fd);
}

/** A name that leads to no regular file of its own: a symbolic link, a device, a named pipe, a directory. */
export class NotAFile extends Error {}

/** A file of more bytes than anybody has written there. */
export class TooLarge extends Error {}

/**
 * As {@link readFileIfAny}, of a directory that is ours alone ({@link requireOwnDirectory}):
 * only a regular file is read, and no symbolic link is followed. Throws `NotAFile`,
 * `TooLarge`.
 */
export function readOwnFileIfAny(
  path: string,
  maxBytes?: number,
): string | undefined {
  const fd = openOwn(path);
  return fd === undefined ? undefined : textOfOpen(fd, maxBytes);
}

function openOwn(path: string): number | undefined {
  let fd: number | undefined;
  try {
    fd = openIfAny(path, reading | Open.noFollow);
  } catch (cause) {
    // A symbolic link; a socket.
    const isOther = ["ELOOP", "ENXIO"].includes(errnoOf(cause) ?? "");
    throw isOther ? new NotAFile("not a regular file", { cause }) : cause;
  }
  if (fd === undefined || status(fd).kind === "file") return fd;
  close(fd);
  throw new NotAFile("not a regular file");
}

/** Closes the file. Throws `TooLarge` for one of more than `maxBytes`. */
function textOfOpen(fd: number, maxBytes = Infinity): string {
  let size = 0;
  try {
    const bytes = readToEnd((buffer) => {
      const count = read(fd, buffer);
      size += count;
      if (size > maxBytes) throw new TooLarge(`larger than ${maxBytes} bytes`);
      return count;
    });
    return textOf(bytes);
  } finally {
    close(fd);
  }
}

/**
 * The text of a file in a directory that others write, where a name may lead to
 * anything: only a regular file is opened (links are followed), because opening
 * or reading a device may block, never end or start something. Throws for
 * another kind, and for a file of more than `maxBytes`.
 */
export function readRegularFile(path: string, maxBytes: number): string {
  const found = statusIfAny(path);
  if (!found) throw new SystemError("ENOENT");
  if (found.kind === "directory") throw new SystemError("EISDIR");
  if (found.kind !== "file") throw new NotAFile("not a regular file");
  return textOfOpen(open(path, reading), maxBytes);
}

/** Everything that `next` reads until it reads nothing; valid until the next call. */
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

/** Opens a new file for writing. Whatever has the name is removed and never written to: it may lead elsewhere. */
export function createFile(path: string, mode: number): number {
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
 * That nobody else can put anything into a directory of ours, or into the one above
 * it: a symbolic link there would have us overwrite any file. Nothing when it is
 * absent. Throws UnsafeDirectory saying what is wrong with which of them.
 */
export function requireOwnDirectory(path: string): void {
  const parent = path.slice(0, path.lastIndexOf("/"));
  // Whoever administers the node may reach that one by a symbolic link.
  requireOwn(parent, statusIfAny(parent));
  requireOwn(path, linkStatusIfAny(path));
}

function requireOwn(path: string, found: Status | undefined): void {
  const problem = found && ownershipProblem(found);
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

/** Makes a directory of ours in another of ours, each for our user alone. Throws as {@link requireOwnDirectory}, and SystemError. */
export function makeOwnDirectory(path: string): void {
  makeDirectory(path.slice(0, path.lastIndexOf("/")), 0o700);
  makeDirectory(path, 0o700);
  // Somebody else may have made them in the meantime.
  requireOwnDirectory(path);
}

/** Makes a directory and those above it; nothing when it is there. */
export function makeDirectory(path: string, mode: number): void {
  try {
    mkdir(path, mode);
  } catch (error) {
    const parent = path.slice(0, path.lastIndexOf("/"));
    if (errnoOf(error) !== "ENOENT" || parent === "") throw error;
    // Those above are the system's directories, not ours.
    makeDirectory(parent, 0o755);
    // Another genie may make the same ones at the same time.
    makeDirectory(path, mode);
  }
}

export function writeAll(fd: number, text: string): void {
  let bytes = bytesOf(text);
  while (bytes.byteLength > 0) bytes = bytes.subarray(write(fd, bytes));
}
