/**
 * Puts files in place at once or not at all: written under a hidden name in the
 * same folder, made durable, renamed. A runtime never sees half of a file, and
 * a rename within the folder is what containerd notices (container-runtimes.md
 * §2.2). What is already as it should be is not touched.
 */
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { errnoOf } from "../cni/error.ts";

/** Whether the file had to be written. Throws the errno of the system. */
export function putText(path: string, text: string, mode: number): boolean {
  if (textOf(path) === text) return setMode(path, mode);
  const temporary = temporaryName(path);
  try {
    writeFileSync(temporary, text, { mode, flag: "wx" });
    rename(temporary, path, mode);
  } finally {
    rmSync(temporary, { force: true });
  }
  return true;
}

/**
 * A copy of an executable; `check` is given the copy before it takes the name.
 * Whoever executes the former file goes on: its inode is not written to, so no
 * "text file busy".
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
    rename(temporary, path, 0o755);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** A new folder has `mode`; one that is there stays as it is. */
export function makeFolder(path: string, mode = 0o755): void {
  if (!existsSync(path)) mkdirSync(path, { recursive: true, mode });
}

/** The text of a file, undefined when there is none. Throws the errno of the system. */
export function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return undefined;
    throw error;
  }
}

function rename(temporary: string, path: string, mode: number): void {
  chmodSync(temporary, mode);
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

function setMode(path: string, mode: number): boolean {
  if ((statSync(path).mode & 0o7777) === mode) return false;
  chmodSync(path, mode);
  return true;
}

/** Hidden, so that no runtime takes it for a configuration or a plugin. */
function temporaryName(path: string): string {
  const random = crypto.randomUUID().slice(0, 8);
  return join(dirname(path), `.${basename(path)}.${random}.tmp`);
}

/** Longer than any copy takes. */
const abandonedMs = 10 * 60_000;

/** Copies that a killed install left: an executable is 100 MB. */
function removeLeftOver(path: string): void {
  const folder = dirname(path);
  const name = basename(path);
  for (const entry of readdirSync(folder)) {
    if (!entry.startsWith(`.${name}.`) || !/\.[0-9a-f]{8}\.tmp$/.test(entry))
      continue;
    const { mtimeMs } = statSync(join(folder, entry));
    if (Date.now() - mtimeMs > abandonedMs)
      rmSync(join(folder, entry), { force: true });
  }
}
