/**
 * CHECK: every attachment of the record, with its own result (state.md "CHECK").
 */
import { Deadline } from "../cni/deadline.ts";
import { Code, CniError } from "../cni/error.ts";
import { checkNetwork } from "../cni/network.ts";
import { lockContainer } from "./lock.ts";
import {
  type Operation,
  callerOf,
  isNested,
  ofNetwork,
  phases,
  recursion,
  runtimeConf,
} from "./operation.ts";
import { type AttachmentRecord, CorruptRecord } from "./record.ts";

/** Throws the delegate's error with its code; 100 without a record: 3 would tell the runtime not to clean up. */
export async function check(operation: Operation): Promise<void> {
  const { request, config, world, records, path } = operation;
  if (isNested(operation)) throw recursion(operation);
  const deadline = new Deadline(phases.check, world.clock);
  const lock = await lockContainer(
    config.dataDir,
    request.containerId,
    deadline,
    world.sleep,
  );
  try {
    const record = readRecord(operation);
    const results = records.results(record);
    const caller = callerOf(operation, lock);
    for (const attachment of record.attachments) {
      const { list, ifname } = attachment;
      const searched = {
        ...operation,
        path: [...new Set([...path, ...record.path])],
      };
      const runtime = runtimeConf(searched, attachment);
      try {
        await checkNetwork(
          list,
          runtime,
          results.get(ifname),
          deadline,
          caller,
        );
      } catch (error) {
        throw ofNetwork(CniError.from(error), record.pod, list.name);
      }
    }
  } finally {
    lock.release();
  }
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
