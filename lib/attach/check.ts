/** CHECK: every attachment of the record, with its own result (state.md "CHECK, GC, STATUS"). */
import { Code, CniError } from "../cni/error.ts";
import { checkNetwork } from "../cni/network-upkeep.ts";
import { displayName } from "../select/attachment.ts";
import { withContainerLock } from "../state/lock.ts";
import {
  type AttachmentRecord,
  CorruptRecord,
  executedIn,
  resultKey,
} from "../state/record.ts";
import {
  type Context,
  deadlineOf,
  prefixNetwork,
  refuseNested,
} from "./context.ts";
import { delegateCaller, runtimeConf, searchPath } from "./delegates.ts";

/** Throws the delegate's error with its code; 100 without a record: 3 would tell the runtime not to clean up. */
export async function check(context: Context): Promise<void> {
  const { records, request } = context;
  refuseNested(context);
  const deadline = deadlineOf(context, "check");
  const { containerId } = request;
  await withContainerLock(context, containerId, deadline, async (lock) => {
    const record = await readRecord(context);
    const { results, hasCompleted } = await records.readResults(record);
    const caller = delegateCaller(context, lock);
    const isAdded = results.has(record.ifname);
    const searched = { ...context, path: searchPath(context, record) };
    for (const attachment of executedIn(record)) {
      const { list, detaching } = attachment;
      const key = resultKey(attachment);
      // Left by a failed hot attach or detach (agent.md).
      if (detaching || (isAdded && !hasCompleted(key))) continue;
      const runtime = runtimeConf(searched, attachment);
      try {
        const result = results.get(key);
        await checkNetwork(list, runtime, result, deadline, caller);
      } catch (error) {
        throw prefixNetwork(error, record.pod, displayName(attachment));
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
    record = await records.read(request);
  } catch (cause) {
    if (!(cause instanceof CorruptRecord)) throw cause;
    throw new CniError(
      Code.io,
      `unreadable attachment record of container ${request.containerId}: ${cause.message}`,
      { cause },
    );
  }
  // Without the primary it is a remainder of a failed DEL or rollback.
  if (record?.attachments.some(({ ifname }) => ifname === request.ifname))
    return record;
  throw new CniError(
    Code.noRecord,
    `no attachment record of container ${request.containerId} and interface ${request.ifname}`,
  );
}
