/**
 * `genie install`: once, or with `--watch` for as long as the process lives.
 */
import { messageOf } from "../cni/error.ts";
import type { Command } from "./command.ts";
import { credentialOptions, wishesOf } from "./credential.ts";
import { folderOptions, foldersOf, hostOf, rootOption } from "./folders.ts";
import { Installation, type Step } from "./installation.ts";
import type { Terminal } from "./terminal.ts";

export const install: Command = {
  about: `Copies this executable into the plugin folder, writes a kubeconfig where none is given, and
then the configuration that makes the runtime use it. Everything is checked first; whatever is
as it should be is not touched. Keys that you add to 00-genie.conflist stay.`,
  options: {
    default: {
      value: "NETWORK",
      about:
        "the default network (as configured, else the first of the folder)",
    },
    ...credentialOptions,
    ...folderOptions,
    ...rootOption,
    watch: { about: "go on: keep the token and the configuration fresh" },
    interval: { value: "SECONDS", about: "how often, with --watch (10)" },
  },
  async run(input, terminal) {
    const intervalMs = input.seconds("interval", 10) * 1000;
    const request = {
      folders: foldersOf(input),
      host: hostOf(input),
      wishes: wishesOf(input),
      defaultPlugin: input.text("default"),
    };
    const installation = new Installation(request, terminal);
    await terminal.stdout(reportOf(await installation.run()));
    if (input.flag("watch")) await watch(installation, intervalMs, terminal);
    return 0;
  },
};

/** Until it is asked to end. An error is told once and tried again: pods go on with what is there. */
async function watch(
  installation: Installation,
  intervalMs: number,
  { sleep, stopped, stdout, stderr }: Terminal,
): Promise<void> {
  let told = "";
  for (;;) {
    await sleep(intervalMs);
    if (stopped()) return;
    try {
      if (installation.refreshCredential())
        await stdout("changed   the credential\n");
      const changed = (await installation.run()).filter(
        ({ outcome }) => outcome === "changed",
      );
      if (changed.length > 0) await stdout(reportOf(changed));
      told = "";
    } catch (error) {
      const text = messageOf(error);
      if (text !== told) stderr(`genie install: ${text}\n`);
      told = text;
    }
  }
}

function reportOf(steps: readonly Step[]): string {
  return steps
    .map(
      ({ outcome, text }) => `${outcome.padEnd("unchanged".length)} ${text}\n`,
    )
    .join("");
}
