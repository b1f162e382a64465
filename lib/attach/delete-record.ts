/**
 * Deletes what one record holds: the same for DEL, left-over records, GC and what
 * Multus attached (state.md "DEL").
 */
import type { Deadline } from "../linux/deadline.ts";
import { deleteAttachments } from "./delete-attachments.ts";
import type { Lock } from "./lock.ts";
import { type Context, delegateCaller } from "./context.ts";
import type { AttachmentRecord } from "./record.ts";

/**
 * Deletes the attachments of a record and then the record. What could not be
 * deleted stays in it, so a retry repeats only that, or is abandoned: "deleted" says
 * that nothing is left. `netns` is empty when the namespace is gone.
 */
export async function deleteRecord(
  context: Context,
  record: AttachmentRecord,
  netns: string,
  lock: Lock,
  deadline: Deadline,
  results = context.records.results(record, { asWritten: true }),
): Promise<"deleted" | "abandoned"> {
  const { records, path } = context;
  // Only several networks of one pod have rules (selection.md §8).
  const routing = record.attachments.length > 1 && records.routing(record);
  if (routing && routing.size > 0) {
    const { removeRouting } = await import("./remove-routing.ts");
    await removeRouting(context, record, netns, routing);
  }
  const outcome = await deleteAttachments(
    record.attachments,
    results,
    {
      containerId: record.containerId,
      netns,
      path: distinct([...path, ...record.path]),
    },
    deadline,
    delegateCaller(context, lock),
  );
  if (outcome.remaining.length > 0) {
    const { settle } = await import("./failed-delete.ts");
    settle(context, record, outcome);
    if (record.adopted) await forgetFormer(context, record);
    return "abandoned";
  }
  try {
    records.remove(record);
  } catch (cause) {
    const { settleUnremoved } = await import("./failed-delete.ts");
    settleUnremoved(context, record, cause);
  }
  if (record.adopted) await forgetFormer(context, record);
  return "deleted";
}

/** The file that the record was made of goes when nothing of the record is left to the runtime. */
async function forgetFormer(
  context: Context,
  { containerId }: AttachmentRecord,
): Promise<void> {
  const { removeMultusFile } = await import("./multus.ts");
  removeMultusFile(context, containerId);
}

function distinct(directories: readonly string[]): string[] {
  const seen: string[] = [];
  for (const directory of directories)
    if (!seen.includes(directory)) seen.push(directory);
  return seen;
}
