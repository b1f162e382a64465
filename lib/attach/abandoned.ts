/**
 * What could not be deleted and is not the runtime's matter any more: kept in
 * `<dataDir>/abandoned` with the error's words, until a later DEL of it succeeds or
 * an operator drops it (state.md "Never stuck, never forgotten").
 */
import { messageOf } from "../linux/errno.ts";
import type { GenieConfig } from "../select/config.ts";
import { displayName } from "../select/select.ts";
import type { Failure } from "./delete-attachments.ts";
import type { Context } from "./context.ts";
import { type Abandonment, type AttachmentRecord, Records } from "./record.ts";

export function abandonedRecords({
  dataDir,
}: Pick<GenieConfig, "dataDir">): Records {
  return new Records(dataDir, "abandoned");
}

/**
 * Keeps what failed of a record; its results go with it where nothing else of the
 * record is left. Durable when it returns. Throws 5 for the disk.
 */
export function abandon(
  { records, config, dependencies }: Context,
  record: AttachmentRecord,
  failures: readonly Failure[],
  left: "others" | "nothing",
): void {
  const abandoned = abandonedRecords(config);
  const failed = new Set(failures.map(({ attachment }) => attachment));
  // In the order of the record, as DEL takes them in reverse.
  const attachments = record.attachments.filter((one) => failed.has(one));
  const kept: AttachmentRecord = {
    ...record,
    attachments,
    failures: undefined,
    abandoned: abandonment(failures, dependencies.now()),
  };
  abandoned.write(merged(abandoned, kept)).sync();
  if (left === "nothing") records.move(record, "results", abandoned);
}

export function abandonment(
  failures: readonly Failure[],
  now: Date,
): Abandonment {
  return {
    time: now.toISOString(),
    errors: failures.map(({ attachment, error }) => ({
      ifname: attachment.ifname,
      network: displayName(attachment),
      error: error.message,
    })),
  };
}

/** With what was abandoned of the same ADD before. */
function merged(
  abandoned: Records,
  record: AttachmentRecord,
): AttachmentRecord {
  const before = earlier(abandoned, record);
  if (!before) return record;
  const ifnames = new Set(record.attachments.map(({ ifname }) => ifname));
  const isOther = ({ ifname }: { ifname: string }) => !ifnames.has(ifname);
  return {
    ...record,
    attachments: [...before.attachments.filter(isOther), ...record.attachments],
    ...(record.abandoned && {
      abandoned: {
        ...record.abandoned,
        errors: [
          ...(before.abandoned?.errors ?? []).filter(isOther),
          ...record.abandoned.errors,
        ],
      },
    }),
  };
}

function earlier(
  abandoned: Records,
  record: AttachmentRecord,
): AttachmentRecord | undefined {
  try {
    return abandoned.readLike(record);
  } catch {
    // Nobody can read it: what is known now takes its place.
    return undefined;
  }
}

/**
 * As {@link abandon}, where nothing can be written: the files are given another
 * place, without the errors' words. Where not even that can be done, the record
 * stays, and GC meets it when the container is gone.
 */
export function abandonUnwritten(
  { records, config, log }: Context,
  record: AttachmentRecord,
): void {
  try {
    records.move(record, "everything", abandonedRecords(config));
  } catch (error) {
    log().error("failed to move what could not be deleted to abandoned", {
      error: messageOf(error),
    });
  }
}
