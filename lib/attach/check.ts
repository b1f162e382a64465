/**
 * CHECK: every attachment of the record, with its own result (state.md "CHECK").
 */
import { Deadline } from "../linux/deadline.ts";
import { Code, CniError } from "../cni/error.ts";
import { checkNetwork } from "../cni/network.ts";
import { displayName } from "../select/select.ts";
import { whileLocked } from "./lock.ts";
import {
  type Operation,
  callerOf,
  isNested,
  ofNetwork,
  phases,
  recursion,
  runtimeConf,
} from "./context.ts";
import { type AttachmentRecord, CorruptRecord } from "./record.ts";

/** Throws the delegate's error with its code; 100 without a record: 3 would tell the runtime not to clean up. */
export async function check(operation: Operation): Promise<void> {
  const { request, world, records, path } = operation;
  if (isNested(operation)) throw recursion(operation);
  const deadline = new Deadline(phases.check, world.clock);
  await whileLocked(operation, request.containerId, deadline, async (lock) => {
    const record = readRecord(operation);
    const results = records.results(record);
    const caller = callerOf(operation, lock);
    const searched = {
      ...operation,
      path: [...new Set([...path, ...record.path])],
    };
    for (const attachment of record.attachments) {
      const { list, ifname } = attachment;
      const runtime = runtimeConf(searched, attachment);
      const result = results.get(ifname);
      try {
        await checkNetwork(list, runtime, result, deadline, caller);
      } catch (error) {
        throw ofNetwork(
          CniError.from(error),
          record.pod,
          displayName(attachment),
        );
      }
    }
  });
}

function readRecord({ request, records }: Operation): AttachmentRecord {
  let record: AttachmentRecord | undefined;
  try {
    record = records.read(request.containerId, request.ifname);
  } catch (cause) {
    if (!(cause instanceof CorruptRecord)) throw cause;
    throw new CniError(
      Code.io,
      `unreadable attachment record of container ${request.containerId}: ${cause.message}`,
      { cause },
    );
  }
  // What a failed DEL or rollback left is no attachment any more without the primary.
  if (record?.attachments.some(({ ifname }) => ifname === request.ifname))
    return record;
  throw new CniError(
    Code.noRecord,
    `no attachment record of container ${request.containerId} and interface ${request.ifname}`,
  );
}
