/**
 * DEL: what the record says, in reverse; without a record a best effort for pods
 * that were attached before us (state.md "DEL"). Never asks the API server.
 */
import { Deadline } from "../cni/deadline.ts";
import { Code, CniError, messageOf } from "../cni/error.ts";
import { throwJoined } from "../cni/network.ts";
import { displayName } from "../select/select.ts";
import { deleteAttachments } from "./delegates.ts";
import { type Lock, whileLocked } from "./lock.ts";
import {
  type Operation,
  callerOf,
  isNested,
  ofNetwork,
  phases,
} from "./operation.ts";
import { type AttachmentRecord, CorruptRecord, RecordError } from "./record.ts";

export async function del(operation: Operation): Promise<void> {
  const { request, world } = operation;
  // Its ADD was refused, and the genie that executed us holds the lock.
  if (isNested(operation)) return;
  const deadline = new Deadline(phases.del, world.clock);
  await whileLocked(operation, request.containerId, deadline, async (lock) => {
    if (await deleteRecorded(operation, lock, deadline)) return;
    const { deleteForeign } = await import("./foreign.ts");
    await deleteForeign(operation, lock, deadline);
  });
}

/**
 * Deletes what the record of this container and interface holds; false when
 * there is none. Throws the first error with the others in its details.
 */
export async function deleteRecorded(
  operation: Operation,
  lock: Lock,
  deadline: Deadline,
): Promise<boolean> {
  const { request, records } = operation;
  let record: AttachmentRecord | undefined;
  try {
    record = records.read(request.containerId, request.ifname);
  } catch (error) {
    if (!(error instanceof CorruptRecord)) throw error;
    await deleteUnreadable(operation, error, lock, deadline);
  }
  if (record) {
    await deleteRecord(operation, record, request.netns, lock, deadline);
    return true;
  }
  // A result without a record is what a crash between two removals leaves.
  records.remove(request);
  return false;
}

/**
 * Deletes the attachments of a record and then the record; what could not be
 * deleted stays in it, so a retry repeats only that. `netns` is empty when the
 * namespace is gone.
 */
export async function deleteRecord(
  operation: Operation,
  record: AttachmentRecord,
  netns: string,
  lock: Lock,
  deadline: Deadline,
): Promise<void> {
  const { records, path } = operation;
  const outcome = await deleteAttachments(
    record.attachments,
    records.results(record, { asWritten: true }),
    {
      containerId: record.containerId,
      netns,
      path: distinct([...path, ...record.path]),
    },
    deadline,
    callerOf(operation, lock),
  );
  const errors: CniError[] = [];
  for (const { attachment, error } of outcome.errors) {
    errors.push(ofNetwork(error, record.pod, displayName(attachment)));
  }
  try {
    if (outcome.remaining.length === 0) records.remove(record);
    else if (outcome.remaining.length < record.attachments.length) {
      records.write({ ...record, attachments: outcome.remaining }).close();
    }
  } catch (cause) {
    // The old record stays: what is deleted already will be deleted once more.
    const problem = `failed to update the attachment record: ${messageOf(cause)}`;
    operation.log.error(problem);
    errors.push(new CniError(Code.io, problem, { cause }));
  }
  throwJoined(errors);
}

function distinct(folders: readonly string[]): string[] {
  const seen: string[] = [];
  for (const folder of folders) if (!seen.includes(folder)) seen.push(folder);
  return seen;
}

/** Noticed once: the record is moved aside, so the runtime's retry finds none and succeeds. */
async function deleteUnreadable(
  operation: Operation,
  cause: CorruptRecord,
  lock: Lock,
  deadline: Deadline,
): Promise<never> {
  const { request, records } = operation;
  records.setAside(request.containerId, request.ifname);
  const { deleteForeign } = await import("./foreign.ts");
  await deleteForeign(operation, lock, deadline);
  throw new RecordError(
    `unreadable attachment record of container ${request.containerId} was moved aside: ${cause.message}`,
    cause,
  );
}
