/**
 * DEL: what the record says, in reverse; without a record a best effort for pods
 * that were attached before us (state.md "DEL"). Never asks the API server.
 */
import { Deadline } from "../linux/deadline.ts";
import { deleteRecord } from "./delete-record.ts";
import { formerTraces } from "./former-traces.ts";
import { type Lock, whileLocked } from "./lock.ts";
import { type Context, isNested, phases } from "./context.ts";
import { type AttachmentRecord, CorruptRecord, RecordError } from "./record.ts";

export async function del(context: Context): Promise<void> {
  const { request, dependencies } = context;
  // Its ADD was refused, and the genie that executed us holds the lock.
  if (isNested(context)) return;
  const deadline = new Deadline(phases.del, dependencies.clock);
  await whileLocked(context, request.containerId, deadline, async (lock) => {
    if (await deleteRecorded(context, lock, deadline)) return;
    await deleteUnrecorded(context, lock, deadline);
  });
}

/**
 * Without a record there is nothing to do, unless somebody else has one: runtimes
 * call DEL twice for every pod, and once more after a failed ADD.
 */
async function deleteUnrecorded(
  context: Context,
  lock: Lock,
  deadline: Deadline,
): Promise<void> {
  const traces = formerTraces(context);
  if (!traces) return;
  const { deleteFormer } = await import("./unrecorded.ts");
  await deleteFormer(context, traces, lock, deadline);
}

/**
 * Deletes what the record of this container and interface holds; false when
 * there is none. Throws the first error with the others in its details.
 */
export async function deleteRecorded(
  context: Context,
  lock: Lock,
  deadline: Deadline,
): Promise<boolean> {
  const { request, records } = context;
  let record: AttachmentRecord | undefined;
  try {
    record = records.read(request.containerId, request.ifname);
  } catch (error) {
    if (!(error instanceof CorruptRecord)) throw error;
    await deleteUnreadable(context, error, lock, deadline);
  }
  if (record) {
    await deleteRecord(context, record, request.netns, lock, deadline);
    return true;
  }
  removeLitter(context);
  return false;
}

/** A result without a record, as a crash between two removals leaves it: no reason to fail. */
function removeLitter({ records, request, log }: Context): void {
  try {
    records.remove(request);
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    log().debug(error.message);
  }
}

/** Noticed once: the record is moved aside, so the runtime's retry finds none and succeeds. */
async function deleteUnreadable(
  context: Context,
  cause: CorruptRecord,
  lock: Lock,
  deadline: Deadline,
): Promise<never> {
  const { request, records } = context;
  records.setAside(request.containerId, request.ifname);
  await deleteUnrecorded(context, lock, deadline);
  throw new RecordError(
    `unreadable attachment record of container ${request.containerId} was moved aside: ${cause.message}`,
    cause,
  );
}
