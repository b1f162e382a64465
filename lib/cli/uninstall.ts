/** `genie uninstall`: once, or with `--watch` until the node's pods allow it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { escapeControls } from "../linux/text.ts";
import type { Command } from "./command/command.ts";
import { optionsOf } from "./command/options.ts";
import type { Terminal } from "./command/terminal.ts";
import { watch, watchOf, watchOptions } from "./command/watch.ts";
import { whileInstalling } from "./install/installer-lock.ts";
import {
  directoriesOf,
  nodeOptions,
  ownFile,
  ownType,
} from "./node/directories.ts";
import { type RemovalRequest, removeGenie } from "./uninstall/removal.ts";

export const uninstall: Command = {
  about: `Refuses while pods have attachments that the runtime's next network cannot delete, and lists these
pods. --force removes the configuration anyway, and keeps the executable for genie gc while
attachments are left.`,
  options: {
    ...optionsOf({
      "--force": "remove genie even if pods have such attachments",
    }),
    ...nodeOptions,
    ...watchOptions,
  },
  async run(input, terminal) {
    const request = {
      directories: directoriesOf(input),
      force: input.flag("force"),
      env: terminal.env,
    };
    const remove = async () => {
      const done = await whileInstalling(request.directories, () =>
        removeGenie(request),
      );
      // Plugins word the errors of their DEL.
      return done.map((line) => `${escapeControls(line)}\n`).join("");
    };
    const watched = watchOf("uninstall", input, terminal);
    if (input.flag("watch"))
      await watch(untilRemoved(remove, request, terminal), watched);
    else await terminal.stdout(await remove());
    return 0;
  },
};

/** Rounds until nothing is left to remove; a round that leaves something throws. */
function untilRemoved(
  remove: () => Promise<string>,
  { directories: { host, confDir, binDir } }: RemovalRequest,
  { stdout }: Terminal,
): () => Promise<void> {
  let reported = "";
  let isDone = false;
  return async () => {
    if (isDone) return;
    const report = await remove();
    if (report !== reported) await stdout(report);
    reported = report;
    const left = [join(binDir, ownType), join(confDir, ownFile)].find((path) =>
      existsSync(host.path(path)),
    );
    if (left !== undefined)
      throw new Error(`${left} is needed until the pods of genie are gone`);
    isDone = true;
  };
}
