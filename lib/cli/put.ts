/**
 * Writes files at once or not at all: under a hidden name in the same directory,
 * made durable, renamed. A runtime never sees half of a file, and a rename within
 * the directory is what containerd notices (container-runtimes.md §2.2). A file
 * that is already as it should be is not touched.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { errnoOf } from "../linux/errno.ts";

export interface FileKind {
  /** Of a new file; one that is there keeps its mode and owner. */
  mode: number;
  /** Other users never have rights on it, whatever somebody changed. */
  secret?: true;
}

/** Whether the file had to be written. Throws the errno of the system. */
export function putText(path: string, text: string, kind: FileKind): boolean {
  const former = statSync(path, { throwIfNoEntry: false });
  const mode = (former?.mode ?? kind.mode) & (kind.secret ? 0o7770 : 0o7777);
  if (former && (former.mode & 0o7777) === mode && textOf(path) === text)
    return false;
  removeLeftOver(path);
  const temporary = temporaryName(path);
  try {
    writeFileSync(temporary, text, { mode: mode & 0o600, flag: "wx" });
    chmodSync(temporary, mode);
    // Last: another user's file is no longer ours to change.
    if (former) keepOwner(temporary, former);
    rename(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
  return true;
}

/**
 * A copy of an executable; `check` is given the copy before it takes the name.
 * A process that executes the former file goes on: its inode is not written to,
 * so no "text file busy". A symbolic link is replaced: it may lead to a file of
 * another version, which is not ours to overwrite.
 */
export async function putExecutable(
  path: string,
  source: string,
  check: (copy: string) => Promise<void>,
): Promise<void> {
  removeLeftOver(path);
  const temporary = temporaryName(path);
  try {
    copyFileSync(source, temporary);
    chmodSync(temporary, 0o755);
    await check(temporary);
    rename(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Makes the link itself anew: runtimes watch its directory, not where it leads. */
export function renewLink(link: string): void {
  const temporary = temporaryName(link);
  try {
    symlinkSync(readlinkSync(link), temporary);
    renameSync(temporary, link);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/**
 * Keeps a file that is to be overwritten although nobody could read it; the
 * suffix of the copy's name, which has no extension that a runtime would read.
 */
export function keepDamaged(path: string): string {
  for (let i = 1; ; i++) {
    const suffix = i === 1 ? ".damaged" : `.damaged-${i}`;
    const place = path + suffix;
    if (existsSync(place) || isLink(place)) continue;
    if (isRegularFile(path)) {
      copyFileSync(path, place);
      chmodSync(place, 0o600);
    }
    // A directory, a device or a link to one is moved: a rename would replace it.
    else renameSync(path, place);
    return suffix;
  }
}

function isRegularFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

export function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

/** A new directory has `mode`; one that is there stays as it is. */
export function makeDirectory(path: string, mode = 0o755): void {
  if (!existsSync(path)) mkdirSync(path, { recursive: true, mode });
}

/** More than any file that a command reads. */
const maxBytes = 16 << 20;

/**
 * The text of a file, undefined when there is none. Throws the errno of the
 * system, and Error for what is not a regular file: a FIFO or a device would
 * block or never end.
 */
export function textOf(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return undefined;
    throw error;
  }
  try {
    const status = fstatSync(fd);
    if (!status.isFile()) throw new Error(`${path} is not a regular file`);
    if (status.size > maxBytes)
      throw new Error(`${path} is larger than ${maxBytes >> 20} MiB`);
    return readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
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
    // A container without CAP_CHOWN: the file is more important than its owner.
    if (errnoOf(error) !== "EPERM") throw error;
  }
}

/** Hidden, so that no runtime takes it for a configuration or a plugin. */
function temporaryName(path: string): string {
  const random = crypto.randomUUID().slice(0, 8);
  return join(dirname(path), `.${basename(path)}.${random}.tmp`);
}

/** Longer than any copy takes. */
const abandonedMs = 10 * 60_000;

/** Files that a killed install left: an executable is 100 MB, a token is a secret. */
function removeLeftOver(path: string): void {
  const directory = dirname(path);
  const name = basename(path);
  for (const entry of readdirSync(directory)) {
    if (!entry.startsWith(`.${name}.`) || !/\.[0-9a-f]{8}\.tmp$/.test(entry))
      continue;
    const found = statSync(join(directory, entry), { throwIfNoEntry: false });
    if (found && Date.now() - found.mtimeMs > abandonedMs)
      rmSync(join(directory, entry), { force: true });
  }
}
