#!/usr/bin/env bun
/**
 * genie: every Kubernetes pod chooses its network.
 *
 * With CNI_COMMAND in the environment it is the CNI plugin that the container
 * runtime executes for each pod; with arguments it is what an operator types.
 * This is the only file that touches the process: its environment, its standard
 * streams, its exit code. What is imported here is paid by every pod.
 */
import { answerToVersion } from "./lib/cni/version-answer.ts" with { type: "macro" };

declare const GENIE_VERSION: string | undefined;

const version = typeof GENIE_VERSION === "string" ? GENIE_VERSION : "0.0.0-dev";
const about = `CNI plugin genie ${version}: every pod chooses its network (commands: genie help)`;

process.exit(await main());

async function main(): Promise<number> {
  const command = process.env["CNI_COMMAND"];
  try {
    if (command === "VERSION") {
      await Bun.write(Bun.stdout, answerToVersion());
      return 0;
    }
    if (!command && process.argv.length > 2) {
      const { runCommand } = await import("./lib/commands/main.ts");
      return await runCommand(process.argv.slice(2), {
        version,
        env: process.env,
      });
    }
    const { runAsPlugin } = await import("./lib/attach/main.ts");
    return await runAsPlugin(process.env, about);
  } catch (error) {
    // An uncaught error would print the bundled source; nothing comes here but a defect or a closed stdout.
    await Bun.write(
      Bun.stderr,
      `genie: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    return 1;
  }
}
