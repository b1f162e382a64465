/**
 * Genie as the plugin that a runtime executes, in the real world.
 */
import { statusIfAny } from "../linux/files.ts";
import { type Io, runPlugin } from "../cni/skel.ts";
import { readStdin, writeStderr, writeStdout } from "../linux/stdio.ts";
import { geniePlugin } from "./plugin.ts";
import { systemDependencies } from "./dependencies.ts";

/** Answers one call; the exit code. */
export function runAsPlugin(
  env: Readonly<Record<string, string | undefined>>,
  about: string,
): Promise<number> {
  const io: Io = {
    env,
    readStdin,
    stdout: writeStdout,
    stderr: writeStderr,
    netnsId: fileId,
  };
  return runPlugin(geniePlugin(systemDependencies(env), about), io);
}

function fileId(path: string): string | undefined {
  try {
    return statusIfAny(path)?.id;
  } catch {
    // A path that we may not look at is none of ours.
    return undefined;
  }
}
