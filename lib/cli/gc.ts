/**
 * `genie gc`, for runtimes that never call GC, such as containerd (state.md "CHECK,
 * GC, STATUS"). Refuses if it cannot see namespaces.
 */
import {
  type RetryOutcome,
  retryAbandoned,
} from "../attach/abandoned/retry-abandoned.ts";
import type { Context } from "../attach/context.ts";
import { Deadline } from "../linux/deadline.ts";
import { escapeControls } from "../linux/text.ts";
import { abandonedRecords } from "../state/record-directory.ts";
import type { Command } from "./command/command.ts";
import { optionsOf } from "./command/options.ts";
import type { Terminal } from "./command/terminal.ts";
import {
  directoriesOf,
  directoryOptions,
  ownType,
} from "./node/directories.ts";
import { contextOf } from "./node/node-context.ts";
import { drop } from "./records/abandoned.ts";
import {
  type Collection,
  collectGone,
  collectionLines,
} from "./records/collection.ts";
import { whyUnseen } from "./records/sandbox.ts";

export const gc: Command = {
  about: `Also retries attachments that could not be deleted (genie list --abandoned). If one fails again,
it is kept, and the command succeeds.`,
  options: {
    ...directoryOptions,
    ...optionsOf({
      "--grace SECONDS":
        "how long a namespace must have been gone (default 300)",
      "--drop CONTAINER":
        "only forget the abandoned attachments of this container; their addresses stay reserved",
      "--drop-all": "only forget all abandoned attachments",
      "--skip-abandoned": "do not retry attachments that could not be deleted",
    }),
  },
  async run(input, { env, stdout, progress }) {
    const graceMs = input.seconds("grace", 300) * 1000;
    const container = input.text("drop");
    input.exclude("drop", "drop-all");
    for (const forgets of ["drop", "drop-all"])
      for (const option of ["grace", "skip-abandoned"])
        input.exclude(option, forgets);
    const context = contextOf(input, env);
    if (container !== undefined || input.flag("drop-all")) {
      const { lines, kept } = await drop(context, container);
      if (lines.length === 0 && kept.length === 0)
        lines.push("nothing is abandoned");
      await stdout(lines.map((line) => `${line}\n`).join(""));
      if (kept.length > 0) throw new Error(kept.join("\n"));
      return 0;
    }
    const { binDir } = directoriesOf(input);
    const why = await whyUnseen(context, `${binDir}/${ownType} gc`);
    if (why !== undefined) throw new Error(why);
    const isWhole = !input.flag("skip-abandoned");
    const found = await collectAll(context, { graceMs, isWhole }, progress);
    progress();
    await stdout(reportOf(found));
    return found.failed.length === 0 ? 0 : 1;
  },
};

/** Milliseconds for all earlier abandoned attachments; the next run continues. */
const retryMs = 600_000;

/** Records first, then, if `isWhole`, earlier abandoned attachments, without those that this run abandoned. */
async function collectAll(
  context: Context,
  { graceMs, isWhole }: { graceMs: number; isWhole: boolean },
  progress: Terminal["progress"],
): Promise<Collection & RetryOutcome> {
  const before = abandonedRecords(context).oldestFirst();
  const { deleted, ...records } = await collectGone(context, graceMs, progress);
  if (!isWhole) return { ...records, deleted, kept: [] };
  progress("trying abandoned attachments again");
  const deadline = new Deadline(retryMs, context.dependencies.clock);
  const retried = await retryAbandoned(context, before, deadline);
  return {
    ...records,
    deleted: [...deleted, ...retried.deleted],
    kept: retried.kept,
  };
}

function reportOf(found: Collection & RetryOutcome): string {
  const { deleted, waiting, abandoned, kept, failed } = found;
  const left = abandoned.length + kept.length;
  const counts = [
    `${deleted.length} deleted`,
    `${waiting.length} waiting`,
    `${failed.length} failed`,
    ...(left > 0 ? [`${left} abandoned`] : []),
  ];
  const lines = [
    ...collectionLines(found),
    ...kept.map(({ name, reason }) => `still abandoned ${name}: ${reason}`),
    counts.join(", "),
  ];
  // Plugins word the errors, and the agent reads the lines.
  return `${lines.map(escapeControls).join("\n")}\n`;
}
