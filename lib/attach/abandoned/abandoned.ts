/**
 * Abandoned attachments (state.md "Never stuck, never forgotten"): kept in
 * `<dataDir>/abandoned` with the errors, until a later DEL succeeds or an operator drops
 * them. Loaded when a DEL fails, and by GC.
 */
import { type Attachment, displayName } from "../../select/attachment.ts";
import {
  type RecordDirectory,
  abandonedRecords,
} from "../../state/record-directory.ts";
import {
  type Abandonment,
  type AttachmentRecord,
  executedIn,
  resultKey,
  withExecuted,
} from "../../state/record.ts";
import type { Context } from "../context.ts";
import {
  type FailedDelete,
  removeDeviceInfoOf,
} from "../delete-attachments.ts";

/**
 * Removes an abandoned record, and its device information, which only its DEL would remove.
 * The information of a container that is attached again has the same path, and stays.
 */
export async function forgetRecord(
  context: Pick<Context, "records" | "config">,
  record: AttachmentRecord,
): Promise<void> {
  if (!context.records.has(record))
    for (const attachment of executedIn(record))
      await removeDeviceInfoOf(attachment);
  abandonedRecords(context).remove(record);
}

/**
 * Adds the failed attachments to the abandoned record of their ADD. Durable when it returns.
 * Throws 5 for the disk.
 */
export async function abandon(
  context: Context,
  record: AttachmentRecord,
  failures: readonly FailedDelete[],
): Promise<void> {
  const abandoned = abandonedRecords(context);
  const failed = new Set(failures.map(({ attachment }) => attachment));
  const before = await earlier(abandoned, record);
  const attachments = [
    ...(before ? executedIn(before) : []).filter(
      (one) =>
        !failures.some(
          ({ attachment }) => resultKey(attachment) === resultKey(one),
        ),
    ),
    // In the order of the record, as DEL takes them in reverse.
    ...executedIn(record).filter((one) => failed.has(one)),
  ];
  const left = { ...withExecuted(record, attachments), failures: undefined };
  abandoned
    .write({
      ...left,
      abandoned: abandonment(
        attachments,
        before?.abandoned,
        failures,
        context.dependencies.now(),
      ),
    })
    .sync();
}

/** The record that {@link abandon} adds to; an unreadable one is replaced. */
async function earlier(
  abandoned: RecordDirectory,
  record: AttachmentRecord,
): Promise<AttachmentRecord | undefined> {
  try {
    return await abandoned.read(record);
  } catch {
    return undefined;
  }
}

/** Why these attachments are abandoned: the latest error of each, and the time of the first. */
export function abandonment(
  attachments: readonly Attachment[],
  before: Abandonment | undefined,
  failures: readonly FailedDelete[],
  now: Date,
): Abandonment {
  const errors = failures.map(({ attachment, error }) => ({
    ifname: attachment.ifname,
    network: displayName(attachment),
    error: error.message,
  }));
  const isKept = (one: Abandonment["errors"][number]): boolean =>
    attachments.some((attachment) => isErrorOf(one, attachment)) &&
    !failures.some(({ attachment }) => isErrorOf(one, attachment));
  return {
    time: before?.time ?? now.toISOString(),
    errors: [...(before?.errors ?? []).filter(isKept), ...errors],
  };
}

/** The auxiliary chain is on the primary's interface. */
export function isErrorOf(
  { ifname, network }: Abandonment["errors"][number],
  attachment: Attachment,
): boolean {
  return ifname === attachment.ifname && network === displayName(attachment);
}
