/**
 * `genie uninstall`.
 */
import type { Command } from "./command.ts";
import {
  directoryOptions,
  directoriesOf,
  hostOf,
  rootOption,
} from "./directories.ts";
import { whileInstalling } from "./install-lock.ts";

export const uninstall: Command = {
  about: `Refuses, and lists the pods, while a pod has more than the network that the runtime will use
next. --force removes the configuration even then, and keeps the executable for genie gc.`,
  options: {
    force: { about: "remove genie even if pods have other networks" },
    ...directoryOptions,
    ...rootOption,
  },
  async run(input, { env, stdout }) {
    const { removeGenie } = await import("./removal.ts");
    const directories = directoriesOf(input);
    const host = hostOf(input);
    const force = input.flag("force");
    const done = await whileInstalling(directories.confDir, host, () =>
      removeGenie({ directories, host, force, env }),
    );
    await stdout(done.map((line) => `${line}\n`).join(""));
    return 0;
  },
};
