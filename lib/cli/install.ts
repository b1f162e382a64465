/**
 * `genie install`: once, or with `--watch` until the process is stopped.
 */
import { messageOf } from "../linux/errno.ts";
import type { Command } from "./command.ts";
import { credentialOptions, wishesOf } from "./credential.ts";
import { directoryOptions, directoriesOf, hostOf, rootOption } from "./node.ts";
import { Installation, type Step } from "./installation.ts";

export const install: Command = {
  about: `Copies this executable into the directory of CNI plugins, makes a kubeconfig unless one is given,
and writes 00-genie.conflist, which makes the container runtime use genie. It checks
everything before it changes anything; run it again to upgrade. It keeps keys and plugins that you
add to 00-genie.conflist, and restores a copy of the last valid file if the file is missing.

  genie install --kubeconfig /etc/kubernetes/kubelet.conf
  genie install --default canal`,
  options: {
    default: {
      value: "NETWORK",
      about:
        "network of pods that choose none (default as configured, else the first file)",
    },
    ...credentialOptions,
    ...directoryOptions,
    ...rootOption,
    force: {
      about:
        "overwrite a configuration or kubeconfig that cannot be parsed; a copy is kept",
    },
    watch: {
      about: "do not end: renew the token and repair the configuration",
    },
    interval: {
      value: "SECONDS",
      about: "time between two rounds of --watch (default 10)",
    },
  },
  async run(input, terminal) {
    const intervalMs = input.seconds("interval", 10) * 1000;
    const request = {
      directories: directoriesOf(input),
      host: hostOf(input),
      wishes: wishesOf(input),
      defaultPlugin: input.text("default"),
      force: input.flag("force"),
    };
    const installation = new Installation(request, terminal);
    const steps = await installation.run();
    await terminal.stdout(reportOf(steps));
    if (!input.flag("watch")) return 0;
    const { sleep, stopped, stdout, stderr } = terminal;
    await keepInstalled(installation, steps, intervalMs, {
      sleep,
      stopped,
      report: (news) => stdout(reportOf(news)),
      failed: (problem) => stderr(`genie install: ${problem}\n`),
    });
    return 0;
  },
};

/** What {@link keepInstalled} does between its rounds and with their outcome. */
export interface Rounds {
  /** Resolves early when the process must end. */
  sleep(ms: number): Promise<void>;
  stopped(): boolean;
  /** Changes, and warnings that are new. */
  report(steps: readonly Step[]): Promise<void> | void;
  /** An error that is not the last one. */
  failed(problem: string): void;
}

/**
 * Renews the credential and repairs the installation until the process must end. After an
 * error the round is repeated; pods use the present files.
 */
export async function keepInstalled(
  installation: Installation,
  begun: readonly Step[],
  intervalMs: number,
  { sleep, stopped, report, failed }: Rounds,
): Promise<void> {
  let told = "";
  let warned = warningsOf(begun);
  for (;;) {
    await sleep(intervalMs);
    if (stopped()) return;
    try {
      if (installation.refreshCredential())
        await report([{ outcome: "changed", text: "the credential" }]);
      const steps = await installation.run();
      const news = steps.filter(
        ({ outcome, text }) =>
          outcome === "changed" ||
          (outcome === "warning" && !warned.includes(text)),
      );
      if (news.length > 0) await report(news);
      warned = warningsOf(steps);
      told = "";
    } catch (error) {
      const text = messageOf(error);
      if (text !== told) failed(text);
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
