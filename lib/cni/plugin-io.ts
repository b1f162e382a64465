/** The outside world of a plugin as a parameter, so that tests replace it without mocks. */
import type { Env } from "./environment.ts";
import { statusIfAny } from "../linux/files.ts";
import {
  isStdoutClosed,
  readStdin,
  writeStderr,
  writeStdout,
} from "../linux/stdio.ts";

export interface Io {
  env: Env;
  readStdin(): Uint8Array;
  /** A result could not be printed. */
  isStdoutClosed(): boolean;
  /** Returns when the whole text is written, also to a slow pipe (P-ERR-3). */
  stdout(text: string): void;
  /** Never throws: text that cannot be written is lost. */
  stderr(text: string): void;
  /** `dev:inode` of a namespace; undefined if the path cannot be opened. */
  netnsId(path: string): string | undefined;
}

/** The standard streams and files of this process. */
export function systemIo(env: Env): Io {
  return {
    env,
    readStdin,
    isStdoutClosed,
    stdout: writeStdout,
    stderr: writeStderr,
    netnsId,
  };
}

function netnsId(path: string): string | undefined {
  try {
    return statusIfAny(path)?.id;
  } catch {
    // A path that we may not read is not our own namespace.
    return undefined;
  }
}
