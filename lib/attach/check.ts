/**
 * CHECK: every attachment of the record, with its own result (state.md "CHECK").
 */
import { Deadline } from "../linux/deadline.ts";
import { Code, CniError } from "../cni/error.ts";
import { checkNetwork } from "../cni/network.ts";
import { displayName } from "../select/select.ts";
import { withContainerLock } from "./lock.ts";
import {
  type Context,
  delegateCaller,
  isNested,
  prefixNetwork,
  phases,
  recursion,
  runtimeConf,
} from "./context.ts";
import { type AttachmentRecord, CorruptRecord } from "./record.ts";

/** Throws the delegate's error with its code; 100 without a record: 3 would tell the runtime not to clean up. */
export async function check(context: Context): Promise<void> {
  const { dependencies, records, path } = context;
  if (isNested(context)) throw recursion(context);
  const deadline = new Deadline(phases.check, dependencies.clock);
  await withContainerLock(context, deadline, async (lock) => {
    const record = await readRecord(context);
    const { results } = await records.readResults(record);
    const caller = delegateCaller(context, lock);
    const searched = {
      ...context,
      path: [...new Set([...path, ...record.path])],
    };
    for (const attachment of record.attachments) {
      const { list, ifname } = attachment;
      const runtime = runtimeConf(searched, attachment);
      const result = results.get(ifname);
      try {
        await checkNetwork(list, runtime, result, deadline, caller);
      } catch (error) {
        throw prefixNetwork(
          CniError.from(error),
          record.pod,
          displayName(attachment),
        );
      }
    }
  });
}

async function readRecord({
  request,
  records,
}: Context): Promise<AttachmentRecord> {
  let record: AttachmentRecord | undefined;
  try {
    record = await records.read(request.containerId, request.ifname);
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
