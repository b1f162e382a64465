/**
 * Runs one step as a whole process: how long it takes from outside, how much
 * memory it needs. Both throw when the step does not do what it should.
 */
import { join } from "node:path";
import { peakRss } from "./rss.ts";
import type { Step } from "./rows.ts";

/** Milliseconds from before the start of the process to after its end. */
export function timed({ cmd, env, stdin, accepts }: Step): number {
  const input = Buffer.from(stdin);
  const start = performance.now();
  const child = Bun.spawnSync([...cmd], { cwd: "/", env, stdin: input });
  const ms = performance.now() - start;
  const stdout = child.stdout.toString();
  if (child.exitCode === 0 && accepts(stdout)) return ms;
  throw new Error(
    `${cmd[0]} ${env["CNI_COMMAND"] ?? ""}: exit code ${child.exitCode}: ${stdout}${child.stderr.toString()}`,
  );
}

/** MiB at the peak; `folder` is for what is passed on stdin. */
export async function peakMemory(
  { cmd, env, stdin }: Step,
  folder: string,
): Promise<number> {
  const input = join(folder, "stdin");
  await Bun.write(input, stdin);
  return peakRss(cmd, env, input);
}
