/** `genie install`: once, or with `--watch` until the process is stopped. */
import type { Command } from "./command/command.ts";
import type { Input } from "./command/input.ts";
import { type Options, optionsOf } from "./command/options.ts";
import type { Terminal } from "./command/terminal.ts";
import { watch, watchOf, watchOptions } from "./command/watch.ts";
import {
  type CredentialRequest,
  credentialRequestOf,
  credentialOptions,
} from "./install/credential-options.ts";
import { Installation, type Step } from "./install/installation.ts";
import {
  parseSettings,
  readSettings,
  setOption,
  settingsOption,
} from "./install/settings.ts";
import { directoriesOf, nodeOptions } from "./node/directories.ts";

/** Options that `genie agent` has too. */
export const installOptions = {
  ...optionsOf({
    "--default NETWORK":
      "network of pods that choose none (default as configured, else the first file that is not a container engine's)",
  }),
  ...setOption,
  ...settingsOption,
} as const satisfies Options;

export const install: Command = {
  about: `Copies this executable into the directory of CNI plugins, makes a kubeconfig unless one is given,
and writes 00-genie.conflist, which makes the container runtime use genie. It checks
everything before it changes anything; run it again to upgrade. It keeps keys and plugins that you
add to 00-genie.conflist, and restores a copy of the last valid file if the file is missing.

  genie install --kubeconfig /etc/kubernetes/kubelet.conf
  genie install --default canal`,
  options: {
    ...credentialOptions,
    ...nodeOptions,
    ...optionsOf({
      "--force":
        "overwrite a configuration that cannot be parsed; a copy is kept",
    }),
    ...installOptions,
    ...watchOptions,
  },
  async run(input, terminal) {
    const watched = watchOf("install", input, terminal);
    const installation = installationOf(
      input,
      credentialRequestOf(input),
      terminal,
    );
    const report = (steps: readonly Step[]) => terminal.stdout(reportOf(steps));
    if (input.flag("watch"))
      await watch(installRounds(installation, report), watched);
    else {
      terminal.progress("installing genie");
      const steps = await installation.run();
      terminal.progress();
      await report(steps);
    }
    return 0;
  },
};

/** `input` has {@link installOptions}, and `force` if it is an option. Throws UsageError. */
export function installationOf(
  input: Input,
  credential: CredentialRequest,
  terminal: Pick<Terminal, "env" | "self" | "version">,
): Installation {
  const set = parseSettings(input);
  const settings = input.path("settings");
  const request = {
    directories: directoriesOf(input),
    credential,
    settings: () => new Map([...readSettings(settings), ...set]),
    defaultPlugin: input.text("default"),
    force: input.flag("force"),
  };
  return new Installation(request, terminal);
}

/**
 * Rounds that install, renew the credential and repair the installation. The first
 * successful round reports every step, later ones report changes and new warnings.
 */
export function installRounds(
  installation: Installation,
  report: (steps: readonly Step[]) => Promise<void> | void,
): () => Promise<void> {
  let warned: string[] | undefined;
  let isKept = false;
  return async () => {
    // The token must not expire even if something else fails.
    if (warned && installation.refreshCredential())
      await report([{ outcome: "changed", text: "the credential" }]);
    const steps = await installation.run();
    isKept ||= installation.keep();
    const news = steps.filter(
      ({ outcome, text }) =>
        !warned ||
        outcome === "changed" ||
        (outcome === "warning" && !warned.includes(text)),
    );
    if (news.length > 0) await report(news);
    warned = steps
      .filter(({ outcome }) => outcome === "warning")
      .map(({ text }) => text);
  };
}

function reportOf(steps: readonly Step[]): string {
  return steps
    .map(
      ({ outcome, text }) => `${outcome.padEnd("unchanged".length)} ${text}\n`,
    )
    .join("");
}
