/**
 * `genie gc`, for runtimes that never call GC, such as containerd (state.md "CHECK,
 * GC, STATUS"). Deletes records of an earlier boot and records whose namespace has
 * been gone for a while. Refuses if it cannot see namespaces.
 */
import {
  type RetryOutcome,
  abandonedRecords,
  retryAbandoned,
} from "../attach/abandoned.ts";
import type { Context } from "../attach/context.ts";
import { deleteStale, removeLitter } from "../attach/gc.ts";
import { Deadline } from "../linux/deadline.ts";
import { messageOf } from "../linux/errno.ts";
import { recordedNetns } from "../linux/netns.ts";
import { recordDirectory } from "../state/record-directory.ts";
import type { AttachmentRecord } from "../state/record.ts";
import { drop } from "./records/abandoned.ts";
import { type Command, UsageError } from "./command/command.ts";
import { whyUnseen } from "./records/mount-namespace.ts";
import {
  directoryOptions,
  directoriesOf,
  nodeContext,
  ownType,
} from "./node/node.ts";
import type { Terminal } from "./command/terminal.ts";

export const gc: Command = {
  about: `Also retries attachments that could not be deleted (genie list --abandoned). If one fails again,
it is kept, and the command succeeds.`,
  options: {
    ...directoryOptions,
    grace: {
      value: "SECONDS",
      about: "how long a namespace must have been gone (default 300)",
    },
    drop: {
      value: "CONTAINER",
      about:
        "only forget its abandoned attachments; their addresses stay reserved",
    },
    "skip-abandoned": {
      about: "do not retry attachments that could not be deleted",
    },
    "drop-all": { about: "only forget all abandoned attachments" },
  },
  async run(input, { env, stdout, stderr, progress }) {
    const grace = input.seconds("grace", 300);
    const container = input.text("drop");
    const isAll = input.flag("drop-all");
    if (container !== undefined && isAll)
      throw new UsageError("--drop and --drop-all exclude each other");
    const directories = directoriesOf(input);
    const context = nodeContext(directories, env);
    if (container === undefined && !isAll) {
      const why = await whyUnseen(
        context,
        `${directories.binDir}/${ownType} gc`,
      );
      if (why !== undefined) throw new Error(why);
      const isWhole = !input.flag("skip-abandoned");
      const found = await collectAll(
        context,
        { graceMs: grace * 1000, isWhole },
        progress,
      );
      progress();
      return printed(found, stdout);
    }
    try {
      const lines = await drop(context, container);
      await stdout(lines.map((line) => `${line}\n`).join(""));
      return 0;
    } catch (error) {
      stderr(`genie gc: ${messageOf(error)}\n`);
      return 1;
    }
  },
};

/** Records first, then, if `isWhole`, earlier abandoned attachments, without those that this run abandoned. */
async function collectAll(
  context: Context,
  { graceMs, isWhole }: { graceMs: number; isWhole: boolean },
  progress: Terminal["progress"],
): Promise<Collected & RetryOutcome> {
  const before = abandonedRecords(context.config).oldestFirst();
  const { deleted, ...records } = await collect(context, graceMs, progress);
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

async function printed(
  found: Collected & RetryOutcome,
  stdout: (text: string) => Promise<void>,
): Promise<number> {
  const { deleted, waiting, abandoned, kept, failed } = found;
  const named = (word: string, records: readonly AttachmentRecord[]) =>
    records.map(
      ({ containerId, ifname }) => `${word} ${containerId} ${ifname}`,
    );
  const left = abandoned.length + kept.length;
  const counts = [
    `${deleted.length} deleted`,
    `${waiting.length} waiting`,
    `${failed.length} failed`,
    ...(left > 0 ? [`${left} abandoned`] : []),
  ];
  const lines = [
    ...named("deleted", deleted),
    ...named("abandoned", abandoned),
    ...kept.map(({ name, reason }) => `still abandoned ${name}: ${reason}`),
    ...failed.map(({ what, error }) => `failed ${what}: ${error}`),
    counts.join(", "),
  ];
  await stdout(`${lines.join("\n")}\n`);
  return failed.length === 0 ? 0 : 1;
}

export interface Collected {
  deleted: AttachmentRecord[];
  /** Abandoned by this run: `genie list --abandoned`. */
  abandoned: AttachmentRecord[];
  /** Without a namespace, but not long enough; or another genie works on it. */
  waiting: AttachmentRecord[];
  failed: { what: string; error: string }[];
}

/** Milliseconds for one record. */
const recordMs = 50_000;

/** Milliseconds for all earlier abandoned attachments; the next run continues. */
const retryMs = 600_000;

/** `graceMs`: how long a namespace must have been gone. */
export async function collect(
  context: Context,
  graceMs: number,
  progress: Terminal["progress"] = () => {},
): Promise<Collected> {
  const collected: Collected = {
    deleted: [],
    abandoned: [],
    waiting: [],
    failed: [],
  };
  for await (const { name, record, error: unreadable } of recordDirectory(
    context,
  ).all()) {
    if (!record) {
      collected.failed.push({ what: name, error: messageOf(unreadable) });
      continue;
    }
    try {
      const verdict = judge(context, record, graceMs);
      if (verdict === "waiting") collected.waiting.push(record);
      if (verdict !== "stale") continue;
      progress(`deleting ${record.containerId.slice(0, 12)} ${record.ifname}`);
      const deadline = new Deadline(recordMs, context.dependencies.clock);
      const outcome = await deleteStale(context, record, deadline);
      if (outcome === "busy") collected.waiting.push(record);
      else if (outcome === "kept")
        throw new Error("the record cannot be removed or moved");
      else if (outcome !== "gone") collected[outcome].push(record);
    } catch (error) {
      const what = `${record.containerId}:${record.ifname}`;
      collected.failed.push({ what, error: messageOf(error) });
    }
  }
  const deadline = new Deadline(recordMs, context.dependencies.clock);
  for (const error of await removeLitter(context, deadline)) {
    collected.failed.push({ what: "locks", error: error.message });
  }
  return collected;
}

/** Writes down when a namespace was first seen gone, for the next run. */
function judge(
  context: Context,
  record: AttachmentRecord,
  graceMs: number,
): "live" | "waiting" | "stale" {
  const { dependencies } = context;
  const records = recordDirectory(context);
  const bootId = dependencies.bootId();
  if (record.bootId !== bootId) return "stale";
  if (recordedNetns(record, bootId) !== "") {
    records.forgetGone(record);
    return "live";
  }
  const now = dependencies.uptimeMs();
  const noted = records.goneSince(record);
  const since = noted ?? now;
  if (now - since >= graceMs) return "stale";
  if (noted === undefined) records.noteGone(record, since);
  return "waiting";
}
