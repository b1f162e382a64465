/**
 * A disk that can be full, mounted on a directory: of contents, so that names can still be
 * made on it and removed, or of names.
 */
import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stdoutOf } from "./runtime.ts";

export interface SmallDisk extends AsyncDisposable {
  /** Takes all the space that is left. */
  fill(): void;
  /** Takes all the names that are left; returns how to give them back. */
  fillNames(): Disposable;
  /** Nothing can be written, made or removed any more. */
  makeReadOnly(): Promise<void>;
}

const bytes = 1 << 20;
const inodes = 200;

/** Makes `directory` and mounts a disk of 1 MiB on it; its content is lost at the end. */
export async function smallDisk(directory: string): Promise<SmallDisk> {
  mkdirSync(directory, { recursive: true });
  // Without a mode it would be 1777, and genie takes no directory that others may write to.
  const options = `size=${bytes},nr_inodes=${inodes},mode=0700`;
  await stdoutOf(["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory]);
  return {
    fill() {
      const { bavail, bsize } = statfsSync(directory);
      writeFileSync(join(directory, "full"), Buffer.alloc(bavail * bsize));
    },
    fillNames() {
      const names = join(directory, "names");
      mkdirSync(names);
      for (let { ffree } = statfsSync(directory); ffree > 0; ffree--)
        writeFileSync(join(names, `${ffree}`), "");
      return { [Symbol.dispose]: () => rmSync(names, { recursive: true }) };
    },
    async makeReadOnly() {
      await stdoutOf(["mount", "-o", "remount,ro", directory]);
    },
    async [Symbol.asyncDispose]() {
      await stdoutOf(["umount", directory]);
    },
  };
}
