/**
 * A disk that can be full, mounted on a directory. When it is, names can still be
 * made on it and removed, contents cannot be written.
 */
import { mkdirSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stdoutOf } from "./runtime.ts";

export interface SmallDisk extends AsyncDisposable {
  /** Takes all the space that is left. */
  fill(): void;
  /** Nothing can be written, made or removed any more. */
  makeReadOnly(): Promise<void>;
}

const bytes = 1 << 20;

/** Makes `directory` and mounts a disk of 1 MiB on it; its content is lost at the end. */
export async function smallDisk(directory: string): Promise<SmallDisk> {
  mkdirSync(directory, { recursive: true });
  // Without a mode it would be 1777, and genie takes no directory that others may write to.
  const options = `size=${bytes},mode=0700`;
  await stdoutOf(["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory]);
  return {
    fill() {
      const { bavail, bsize } = statfsSync(directory);
      writeFileSync(join(directory, "full"), Buffer.alloc(bavail * bsize));
    },
    async makeReadOnly() {
      await stdoutOf(["mount", "-o", "remount,ro", directory]);
    },
    async [Symbol.asyncDispose]() {
      await stdoutOf(["umount", directory]);
    },
  };
}
