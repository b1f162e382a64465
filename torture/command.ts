/** Commands of genie, with the directories of the tortured node. */
import { genieBinary } from "../tests/support/build.ts";
import { type TorturedNode, secretPrefix } from "./tortured-node.ts";

interface CommandOptions {
  /** Another command that executes it. */
  wrapper?: readonly string[];
  /** SIGKILL after so many milliseconds. */
  killMs?: number | undefined;
}

/** Every command that can end by itself must have ended then. */
const patienceMs = 60_000;

export async function command(
  node: TorturedNode,
  words: readonly string[],
  { wrapper = [], killMs = patienceMs }: CommandOptions = {},
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const name = `genie ${words[0]}`;
  const child = Bun.spawn({
    cmd: [
      ...wrapper,
      genieBinary(),
      ...words,
      `--data-dir=${node.dataDir}`,
      `--conf-dir=${node.confDir}`,
      `--bin-dir=${node.plugins.binDir}`,
    ],
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: killMs,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  const killed = child.signalCode !== null;
  node.report.count("calls", killed ? `${name} killed` : name);
  if (killed && killMs === patienceMs)
    node.report.find(`${name} takes more than ${patienceMs / 1000} s`);
  if (`${stdout}${stderr}`.includes(secretPrefix))
    node.report.find(`${name} printed a secret`);
  return { exitCode, stdout, stderr };
}
