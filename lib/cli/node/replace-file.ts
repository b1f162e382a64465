/**
 * Writes a file completely or not at all: under a hidden name in the same
 * directory, synced, renamed. A runtime never sees an incomplete file, and
 * containerd notices a rename within the directory (container-runtimes.md §2.2). An
 * unchanged file is not written.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { StepError, SystemError, errnoOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import { attempt } from "./attempt.ts";
import { namesIn, readTextIfAny } from "./read-file.ts";

export interface FileKind {
  /** Mode of a new file; an existing one keeps mode and owner. */
  mode: number;
  /** Removes all rights of other users, also from an existing file. */
  secret?: true;
}

/** Returns whether the file was written. */
export function putText(path: string, text: string, kind: FileKind): boolean {
  const existing = statSync(path, { throwIfNoEntry: false });
  const mode = (existing?.mode ?? kind.mode) & (kind.secret ? 0o7770 : 0o7777);
  if (
    existing &&
    (existing.mode & 0o7777) === mode &&
    readTextIfAny(path) === text
  )
    return false;
  removeLeftOver(path, abandonedMs);
  using temporary = temporaryFile(path);
  writing(path, () => {
    writeFileSync(temporary.path, text, { mode: mode & 0o600, flag: "wx" });
    chmodSync(temporary.path, mode);
    // Last: afterwards the file may belong to another user.
    if (existing) keepOwner(temporary.path, existing);
    rename(temporary.path, path);
  });
  return true;
}

/**
 * Copies an executable; `check` gets the copy before it is renamed. A process that
 * executes the existing file continues: its inode does not change, so there is no
 * "text file busy". A symbolic link is replaced: its target may be another version.
 */
export async function putExecutable(
  path: string,
  source: string,
  check: (copy: string) => Promise<void>,
): Promise<void> {
  using temporary = temporaryFile(path);
  writing(path, () => {
    copyFileSync(source, temporary.path);
    chmodSync(temporary.path, 0o755);
  });
  await check(temporary.path);
  writing(path, () => rename(temporary.path, path));
}

/** Throws `failed to write "<path>": <the kernel's reason>` for a failed system call. */
function writing(path: string, work: () => void): void {
  try {
    work();
  } catch (cause) {
    const errno = errnoOf(cause);
    if (errno === undefined) throw cause;
    throw new StepError(
      `failed to write ${quote(path)}`,
      new SystemError(errno),
    );
  }
}

/**
 * Removes a file or directory, if it exists: on a read-only file system, `rm` of a missing
 * one fails too, and would hide the first error.
 */
export function removePath(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false }))
    rmSync(path, { force: true, recursive: true });
}

/** Removes a file that this module wrote; returns whether it existed. */
export function removeWritten(path: string): boolean {
  removeLeftOver(path, 0);
  const isThere = existsSync(path);
  removePath(path);
  return isThere;
}

/** Recreates the link itself: runtimes watch its directory, not its target. */
export function renewLink(link: string): void {
  using temporary = temporaryFile(link);
  symlinkSync(readlinkSync(link), temporary.path);
  renameSync(temporary.path, link);
}

/**
 * Renames an unreadable file before it is overwritten; returns the suffix of its
 * new name, which is no extension that a runtime reads.
 */
export function keepDamaged(path: string): string {
  for (let i = 1; ; i++) {
    const suffix = i === 1 ? ".damaged" : `.damaged-${i}`;
    const place = path + suffix;
    if (existsSync(place) || isLink(place)) continue;
    if (attempt(() => statSync(path).isFile())) {
      copyFileSync(path, place);
      chmodSync(place, 0o600);
    }
    // A directory or device, or a link to one, is renamed: a rename over it would
    // replace it.
    else renameSync(path, place);
    return suffix;
  }
}

export function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

/** A new directory is root's alone; an existing one does not change. */
export function makePrivateDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
}

function rename(temporary: string, path: string): void {
  sync(temporary);
  renameSync(temporary, path);
  sync(dirname(path));
}

function sync(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function keepOwner(
  path: string,
  { uid, gid }: { uid: number; gid: number },
): void {
  const made = statSync(path);
  if (made.uid === uid && made.gid === gid) return;
  try {
    chownSync(path, uid, gid);
  } catch (error) {
    // A container without CAP_CHOWN: writing the file matters more than its
    // owner.
    if (errnoOf(error) !== "EPERM") throw error;
  }
}

/**
 * A path beside `path`, removed at the end of its scope. Hidden, so that no runtime reads
 * it as a configuration or plugin.
 */
function temporaryFile(path: string): Disposable & { path: string } {
  const random = crypto.randomUUID().slice(0, 8);
  const temporary = join(dirname(path), `.${basename(path)}.${random}.tmp`);
  return {
    path: temporary,
    [Symbol.dispose]: () => removePath(temporary),
  };
}

/** Longer than any write takes. */
const abandonedMs = 10 * 60_000;

/**
 * Removes temporary files of a killed install: an executable has 100 MB, a token is a
 * secret. Under the installers' lock no other install writes one, so `olderThanMs` is 0.
 */
export function removeLeftOver(path: string, olderThanMs: number): void {
  const directory = dirname(path);
  const name = basename(path);
  for (const entry of namesIn(directory)) {
    if (!entry.startsWith(`.${name}.`) || !/\.[0-9a-f]{8}\.tmp$/.test(entry))
      continue;
    const found = statSync(join(directory, entry), { throwIfNoEntry: false });
    if (found && Date.now() - found.mtimeMs >= olderThanMs)
      rmSync(join(directory, entry), { force: true });
  }
}
