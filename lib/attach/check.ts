/**
 * CHECK: every attachment of the record, with its own result. STATUS: whether an ADD
 * could succeed now; containerd asks with every CRI status, so it is quick and never
 * calls the API server (state.md "CHECK, GC, STATUS").
 */
import { Code, CniError } from "../cni/error.ts";
import { checkNetwork, statusNetwork } from "../cni/network-upkeep.ts";
import { validateNetwork } from "../cni/network.ts";
import { SystemError } from "../linux/errno.ts";
import { requireWritable } from "../linux/file-calls.ts";
import { makeOwnDirectory } from "../linux/files.ts";
import { quote } from "../linux/text.ts";
import { displayName } from "../select/attachment.ts";
import type { NodeNetwork } from "../select/node-networks.ts";
import { defaultNetworks } from "../select/default-network.ts";
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
  notAvailable,
  prefixNetwork,
  readNetworks,
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
      // A hot attach and its rollback failed, or a detach: agent.md.
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

/** Throws 50 when genie is not ready, or the error of the default network. */
export async function status(context: Context): Promise<void> {
  refuseNested(context);
  const { path } = context;
  const networks = await readyNetworks(context);
  const deadline = deadlineOf(context, "status");
  const caller = delegateCaller(context);
  for (const { candidate, name = candidate.key } of networks) {
    try {
      await statusNetwork(candidate.list, path, deadline, caller);
    } catch (error) {
      throw prefixNetwork(error, undefined, name);
    }
  }
}

/** The default networks, if genie could execute them. Throws 50. */
async function readyNetworks(context: Context): Promise<NodeNetwork[]> {
  const { config, dependencies, path } = context;
  try {
    for (const own of ["attachments", "locks"])
      requireUsable(`${config.dataDir}/${own}`);
    const networks = defaultNetworks(config, readNetworks(context));
    const self = dependencies.self();
    for (const { candidate } of networks)
      validateNetwork(candidate.list, path, self);
    if (!config.declaresAnnotations) await dependencies.checkKube(config);
    return networks;
  } catch (cause) {
    throw notAvailable(cause);
  }
}

/** An ADD needs the directory: it refuses one that others may write to, and fails on a disk that is read-only. */
function requireUsable(directory: string): void {
  try {
    makeOwnDirectory(directory);
    requireWritable(directory);
  } catch (cause) {
    if (!(cause instanceof SystemError)) throw cause;
    throw new CniError(
      Code.io,
      `failed to use directory ${quote(directory)}: ${cause.message}`,
      { cause },
    );
  }
}
