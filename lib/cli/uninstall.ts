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
  about: `Refuses, and says which pods, while one of them has more than the network that the runtime
will use afterwards. With --force the configuration goes all the same, and the executable stays
for what is left.`,
  options: {
    force: { about: "also while pods hold other networks" },
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
