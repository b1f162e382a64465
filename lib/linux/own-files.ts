/**
 * Files and directories that are ours alone: no other user can write to them, and no
 * symbolic link is followed (state.md "The record").
 */
import { UnsafeDirectory, errnoOf, messageOf } from "./errno.ts";
import { quote } from "./text.ts";
import {
  Open,
  close,
  effectiveUser,
  linkStatusIfAny,
  openIfAny,
  status,
  type Status,
  statusIfAny,
} from "./file-calls.ts";
import {
  reading,
  UnreadableFile,
  textOfOpen,
  directoryOf,
  makeDirectory,
} from "./files.ts";

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
