/**
 * Tries again what was abandoned: for `genie gc`, for a runtime's GC, last, and for
 * the agent (state.md "Never stuck, never forgotten"). Nobody waits for it, so it
 * fails nothing.
 */
import type { Deadline } from "../linux/deadline.ts";
import { messageOf } from "../linux/errno.ts";
import { abandonedRecords, abandonment } from "./abandoned.ts";
import { type Failure, deleteAttachments } from "./delete-attachments.ts";
import { LivingRecords } from "./liveness.ts";
import { whileIdle } from "./lock.ts";
import { recordedNetns } from "../linux/netns.ts";
import { type Context, delegateCaller } from "./context.ts";
import type { AttachmentRecord, RecordEntry, Records } from "./record.ts";
import { withRecords } from "./records-lock.ts";

export interface RetriedAbandoned {
  deleted: AttachmentRecord[];
  /** What is still there, and why. */
  kept: { what: string; why: string }[];
}

/** The most that one record may take, in milliseconds: no pod is added meanwhile. */
const recordMs = 10_000;

/** What was abandoned by now; what was tried longest ago comes first. */
export function abandonedByNow({ config }: Context): Iterable<RecordEntry> {
  return abandonedRecords(config).oldestFirst();
}

/** Of `entries` those of our network configuration `network`, or all. */
export async function retryAbandoned(
  context: Context,
  entries: Iterable<RecordEntry>,
  deadline: Deadline,
  network?: string,
): Promise<RetriedAbandoned> {
  const abandoned = abandonedRecords(context.config);
  const living = new LivingRecords(context.records);
  const retried: RetriedAbandoned = { deleted: [], kept: [] };
  for (const { name, record, error } of entries) {
    if (record && network !== undefined && record.network !== network) continue;
    const what = record ? `${record.containerId}:${record.ifname}` : name;
    try {
      const why = record
        ? await retryRecord({ context, abandoned, living }, record, deadline)
        : messageOf(error);
      if (why !== undefined) retried.kept.push({ what, why });
      else if (record) retried.deleted.push(record);
    } catch (cause) {
      retried.kept.push({ what, why: messageOf(cause) });
    }
  }
  return retried;
}

interface Retry {
  context: Context;
  abandoned: Records;
  living: LivingRecords;
}

/** Why it is still there; undefined when it is deleted. */
async function retryRecord(
  retry: Retry,
  record: AttachmentRecord,
  deadline: Deadline,
): Promise<string | undefined> {
  if (deadline.expired) return "no time left";
  const { context } = retry;
  const { config, dependencies } = context;
  const share = deadline.atMost(recordMs);
  const tried = await whileIdle(
    context,
    record.containerId,
    share,
    async ({ fd }) => ({
      // While no other pod can get what the late DEL may take.
      why: await withRecords(
        "alone",
        config.dataDir,
        share,
        dependencies.sleep,
        (all) => deleteAbandoned(retry, record, share, [fd, all.fd]),
      ),
    }),
  );
  return tried ? tried.why : "another operation works on the container";
}

async function deleteAbandoned(
  { context, abandoned, living }: Retry,
  record: AttachmentRecord,
  deadline: Deadline,
  inherit: number[],
): Promise<string | undefined> {
  const { dependencies, path } = context;
  const current = abandoned.readLike(record);
  if (!current) return undefined;
  living.refresh();
  const owners = current.attachments.map((attachment) =>
    living.ownerOf(current, attachment),
  );
  const held = current.attachments.filter((_, i) => owners[i] !== undefined);
  const free = current.attachments.filter((_, i) => owners[i] === undefined);
  const owner = owners.find((one) => one !== undefined);
  if (free.length === 0) return owner;
  const { remaining, failures } = await deleteAttachments(
    free,
    abandoned.results(current),
    {
      containerId: current.containerId,
      netns: recordedNetns(current, dependencies.bootId()),
      path: [...new Set([...path, ...current.path])],
    },
    deadline,
    { ...delegateCaller(context), inherit },
  );
  if (held.length + remaining.length === 0) {
    abandoned.remove(current);
    return undefined;
  }
  const attachments = [...held, ...remaining];
  keep(context, abandoned, { ...current, attachments }, failures);
  return failures[0]?.error.message ?? owner;
}

/** Written in any case: its file is then the newest, and others come first. */
function keep(
  { dependencies, log }: Context,
  abandoned: Records,
  record: AttachmentRecord,
  failures: readonly Failure[],
): void {
  const { errors, time } = abandonment(failures, dependencies.now());
  const failed = new Set(errors.map(({ ifname }) => ifname));
  const isLeft = ({ ifname }: { ifname: string }): boolean =>
    !failed.has(ifname) &&
    record.attachments.some((attachment) => attachment.ifname === ifname);
  const former = record.abandoned;
  try {
    abandoned
      .write({
        ...record,
        abandoned: {
          time: former?.time ?? time,
          errors: [...(former?.errors ?? []).filter(isLeft), ...errors],
        },
      })
      .sync();
  } catch (error) {
    log().warn("failed to update an abandoned record", {
      error: messageOf(error),
    });
  }
}
