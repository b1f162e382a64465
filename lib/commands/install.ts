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
then the configuration that makes the runtime use it. Everything is checked first; a file that is
as it should be is not touched. Keys and plugins that you add to 00-genie.conflist stay: a copy of
the last good file is kept with the attachment records, and restored when the file is missing.`,
  options: {
    default: {
      value: "NETWORK",
      about:
        "the default network (as configured, else the first of the folder)",
    },
    ...credentialOptions,
    ...folderOptions,
    ...rootOption,
    force: {
      about: "overwrite files that cannot be read; a copy of each is kept",
    },
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
      force: input.flag("force"),
    };
    const installation = new Installation(request, terminal);
    const steps = await installation.run();
    await terminal.stdout(reportOf(steps));
    if (input.flag("watch"))
      await watch(installation, steps, intervalMs, terminal);
    return 0;
  },
};

/** Until it is asked to end. An error is told once and tried again: pods go on with what is there. */
async function watch(
  installation: Installation,
  begun: readonly Step[],
  intervalMs: number,
  { sleep, stopped, stdout, stderr }: Terminal,
): Promise<void> {
  let told = "";
  let warned = warningsOf(begun);
  for (;;) {
    await sleep(intervalMs);
    if (stopped()) return;
    try {
      if (installation.refreshCredential())
        await stdout("changed   the credential\n");
      const steps = await installation.run();
      const news = steps.filter(
        ({ outcome, text }) =>
          outcome === "changed" ||
          (outcome === "warning" && !warned.includes(text)),
      );
      if (news.length > 0) await stdout(reportOf(news));
      warned = warningsOf(steps);
      told = "";
    } catch (error) {
      const text = messageOf(error);
      if (text !== told) stderr(`genie install: ${text}\n`);
      told = text;
    }
  }
}

function warningsOf(steps: readonly Step[]): string[] {
  return steps.flatMap(({ outcome, text }) =>
    outcome === "warning" ? [text] : [],
  );
}

function reportOf(steps: readonly Step[]): string {
  return steps
    .map(
      ({ outcome, text }) => `${outcome.padEnd("unchanged".length)} ${text}\n`,
    )
    .join("");
}
