#!/usr/bin/env bun
/**
 * genie: every Kubernetes pod chooses its network.
 *
 * With CNI_COMMAND in the environment it is the CNI plugin that the container
 * runtime executes for each pod; with arguments it is what an operator types.
 * This is the only file that touches the process: its environment, its standard
 * streams, its exit code. Every pod pays for its imports.
 */

declare const GENIE_VERSION: string | undefined;

const version = typeof GENIE_VERSION === "string" ? GENIE_VERSION : "0.0.0-dev";
const about = `CNI plugin genie ${version}: every pod chooses its network (commands: genie help)`;

process.exit(await main());

async function main(): Promise<number> {
  const command = process.env["CNI_COMMAND"];
  try {
    if (!command && (process.argv.length > 2 || isKubectlPlugin())) {
      const { runCommand } = await import("./lib/cli/main.ts");
      return await runCommand(process.argv.slice(2), {
        version,
        env: process.env,
        isKubectl: isKubectlPlugin(),
      });
    }
    const { runAsPlugin } = await import("./lib/attach/plugin.ts");
    return await runAsPlugin(process.env, about);
  } catch (error) {
    // An uncaught error would print the bundled source.
    return fail(error, command);
  }
}

/** Called by a link of this name: `kubectl genie …`, on an operator's machine. */
function isKubectlPlugin(): boolean {
  return /(?:^|\/)kubectl-genie$/.test(process.argv0);
}

/**
 * An error here is a defect, a closed stdout, or a process without executable memory
 * (state.md "Processes and locks"). A runtime gets one JSON error all the same (P-ERR-3).
 */
async function fail(error: unknown, command: string | undefined) {
  const message = error instanceof Error ? error.message : String(error);
  const response = { cniVersion: "1.1.0", code: 999, msg: `genie: ${message}` };
  if (command) await write(Bun.stdout, JSON.stringify(response));
  await write(Bun.stderr, `genie: ${message}`);
  return 1;
}

async function write(stream: Bun.BunFile, line: string): Promise<void> {
  try {
    await Bun.write(stream, `${line}\n`);
  } catch {
    // The stream has no reader.
  }
}
