/**
 * ADD, the story: the pod's choice, the record of what will be executed, the
 * delegates in order, the record of what they answered, the answer (state.md
 * "ADD"). Whatever fails after the first delegate was executed is undone.
 */
import { Deadline } from "../cni/deadline.ts";
import { Code, CniError, messageOf } from "../cni/error.ts";
import { addNetwork, validateNetwork } from "../cni/network.ts";
import { type Result, convertResult } from "../cni/result.ts";
import type { Kube } from "../kube/client.ts";
import type { Networks } from "../select/resolve.ts";
import {
  type Annotations,
  type Attachment,
  asksForDefinitions,
  isWrittenBack,
  selectAttachments,
} from "../select/select.ts";
import { type Lock, whileLocked, whileShared, withRecords } from "./lock.ts";
import { readNetworks } from "./networks.ts";
import {
  type Operation,
  callerOf,
  isNested,
  ofNetwork,
  phases,
  recursion,
  runtimeConf,
} from "./operation.ts";
import { namespaceId } from "./netns.ts";
import { readPod } from "./pod.ts";
import { type AttachmentRecord, RecordError, formatVersion } from "./record.ts";

export async function add(operation: Operation): Promise<Result> {
  const { request, config, records, world } = operation;
  refuseChain(operation);
  if (isNested(operation)) throw recursion(operation);
  const forward = new Deadline(phases.add, world.clock);
  const rollbackBy = new Deadline(phases.rollback, world.clock);
  // Asked before anything else that can wait.
  const kube = once(() => world.kube(config, forward));
  const pod = readPod(operation, kube);
  pod.catch(() => {});
  return whileLocked(operation, request.containerId, forward, async (lock) => {
    // Read while the API server thinks.
    const networks = readNetworks(operation);
    const known = await pod;
    const attachments = await choose(
      operation,
      known.annotations,
      kube,
      forward,
      networks,
    );
    if (records.hasLeftOver(request.containerId, request.ifname)) {
      await deleteLeftOver(operation, lock, forward);
    }
    const attached = await attach(operation, attachments, lock, {
      forward,
      rollbackBy,
    });
    if (isWrittenBack(attachments, known.annotations)) {
      const { writeBack } = await import("./writeback.ts");
      await writeBack(operation, known, attachments, attached.results, kube);
    }
    return attached.printed;
  });
}

/** One client for all calls of this pod: one connection, one run of a credential plugin. */
function once<T>(open: () => Promise<T>): () => Promise<T> {
  let opened: Promise<T> | undefined;
  return () => (opened ??= open());
}

/** prevResult must be printed by a plugin that is given one; we could only drop it (P-ADD-3). */
function refuseChain({ request }: Operation): void {
  if (
    request.config["prevResult"] === undefined ||
    request.config["prevResult"] === null
  )
    return;
  throw new CniError(
    Code.invalidNetworkConfig,
    "prevResult is given: genie must be the first plugin of its network",
  );
}

/** The attachments, each known to be executable before the first of them is executed. */
export async function choose(
  operation: Operation,
  annotations: Annotations,
  kube: () => Promise<Kube>,
  deadline: Deadline,
  networks: Networks,
): Promise<Attachment[]> {
  const { request, config, world, path, pod } = operation;
  const { containerId, ifname, args } = request;
  const defined = asksForDefinitions(annotations)
    ? await (
        await import("./definitions.ts")
      ).definedNetworks(operation, annotations, networks, kube, deadline)
    : {};
  const selection = { annotations, config, networks, ifname, args, ...defined };
  const self = world.self();
  const attachments: Attachment[] = [];
  for (const attachment of selectAttachments(selection)) {
    try {
      validateNetwork(attachment.list, path, self);
    } catch (error) {
      throw ofNetwork(CniError.from(error), pod, attachment.list.name);
    }
    attachments.push(attachment);
  }
  const extras = await extrasOf(attachments);
  return extras?.withDeviceInfoFiles(containerId, attachments) ?? attachments;
}

/** What deals with what a pod asks of a network; undefined for the many pods that ask for nothing. */
function extrasOf(attachments: readonly Attachment[]) {
  for (const { asked } of attachments) {
    if (asked) return import("./extras.ts");
  }
  return undefined;
}

/** An earlier ADD of this container and interface that was never deleted. */
async function deleteLeftOver(
  operation: Operation,
  lock: Lock,
  deadline: Deadline,
): Promise<void> {
  const { deleteRecorded } = await import("./del.ts");
  try {
    await deleteRecorded(operation, lock, deadline);
  } catch (cause) {
    // Our own disk or an unreadable record: told as it is, and nothing was executed.
    if (cause instanceof RecordError) throw cause;
    const { message, details } = CniError.from(cause);
    throw new CniError(
      Code.tryAgainLater,
      `failed to delete a left-over attachment of this container: ${message}`,
      { details, cause },
    );
  }
}

interface Attached {
  printed: Result;
  /** In the order of the attachments. */
  results: Result[];
}

async function attach(
  operation: Operation,
  attachments: Attachment[],
  lock: Lock,
  { forward, rollbackBy }: { forward: Deadline; rollbackBy: Deadline },
): Promise<Attached> {
  const { records, pod, config, world } = operation;
  const caller = callerOf(operation, lock);
  const extras = await extrasOf(attachments);
  const record = newRecord(operation, attachments);
  const { dataDir } = config;
  const write = () => records.write(record);
  const written =
    whileShared(dataDir, write) ??
    (await withRecords("share", dataDir, forward, world.sleep, write));
  // The disk is waited for while the delegates work.
  const durable = written.sync();
  durable.catch(() => {});
  const results = new Map<string, Result>();
  const inOrder: Result[] = [];
  let touched = 0;
  try {
    for (const attachment of attachments) {
      touched++;
      try {
        const runtime = runtimeConf(operation, attachment);
        extras?.prepareDeviceInfo(attachment);
        const result = await addNetwork(
          attachment.list,
          runtime,
          forward,
          caller,
        );
        results.set(attachment.ifname, result);
        inOrder.push(result);
        extras?.requireAsked(operation, attachment, result);
      } catch (error) {
        throw ofNetwork(CniError.from(error), pod, attachment.list.name);
      }
    }
    await durable.catch((cause: unknown) => {
      throw new CniError(
        Code.io,
        `failed to write attachment record: ${messageOf(cause)}`,
        { cause },
      );
    });
    const final = extras
      ? await extras.routed(operation, attachments, inOrder)
      : inOrder;
    records.writeResults(record, final);
    return {
      printed: await printedResult(operation, attachments, final),
      results: final,
    };
  } catch (error) {
    const { rollBack } = await import("./rollback.ts");
    await rollBack(operation, record, touched, results, rollbackBy, caller);
    throw error;
  }
}

function newRecord(
  operation: Operation,
  attachments: Attachment[],
): AttachmentRecord {
  const { request, world, pod, path } = operation;
  const recorded: Attachment[] = [];
  for (const { asked: _asked, ...attachment } of attachments) {
    recorded.push(attachment);
  }
  return {
    formatVersion,
    containerId: request.containerId,
    ifname: request.ifname,
    netns: request.netns,
    netnsId: namespaceId(request.netns),
    network: request.config.name,
    pod,
    time: world.now().toISOString(),
    bootId: world.bootId(),
    // Whole, and never before the true time: GC asks what was written after it began.
    uptimeMs: Math.ceil(world.uptimeMs()),
    path: [...path],
    // What was asked for has been held against the results by the time that it could matter.
    attachments: recorded,
  };
}

/** The primary's result, or all in one, in the version of the request (selection.md §7). */
async function printedResult(
  { request, config }: Operation,
  attachments: readonly Attachment[],
  results: readonly Result[],
): Promise<Result> {
  for (const [i, { ifname }] of attachments.entries()) {
    const result = results[i];
    if (ifname !== request.ifname || !result) continue;
    if (config.result === "primary")
      return convertResult(result, request.cniVersion);
    const { mergeResults } = await import("./merge.ts");
    return convertResult(
      mergeResults(results, i) ?? result,
      request.cniVersion,
    );
  }
  throw new CniError(Code.internal, "no attachment has the name of CNI_IFNAME");
}
