/**
 * ADD, the story: the pod's choice, the record of what will be executed, the
 * delegates in order, the record of what they answered, the answer (state.md
 * "ADD"). Whatever fails after the first delegate was executed is undone.
 */
import { Deadline } from "../cni/deadline.ts";
import { Code, CniError, messageOf } from "../cni/error.ts";
import type { Caller } from "../cni/invoke.ts";
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
import { unmet } from "./asked.ts";
import { deleteRecorded } from "./del.ts";
import { deleteAttachments } from "./delegates.ts";
import { prepareDeviceInfo, withDeviceInfoFile } from "./deviceinfo.ts";
import { type Lock, whileLocked, whileShared, withRecords } from "./lock.ts";
import { mergeResults } from "./merge.ts";
import {
  type Operation,
  callerOf,
  isNested,
  ofNetwork,
  phases,
  readNetworks,
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
    attachments.push(
      attachment.asked
        ? withDeviceInfoFile(containerId, attachment)
        : attachment,
    );
  }
  return attachments;
}

/** An earlier ADD of this container and interface that was never deleted. */
async function deleteLeftOver(
  operation: Operation,
  lock: Lock,
  deadline: Deadline,
): Promise<void> {
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
        if (attachment.asked) prepareDeviceInfo(attachment);
        const result = await addNetwork(
          attachment.list,
          runtime,
          forward,
          caller,
        );
        results.set(attachment.ifname, result);
        inOrder.push(result);
        if (attachment.asked) requireAsked(operation, attachment, result);
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
    const network = routedNetwork(attachments);
    const final =
      network === undefined
        ? inOrder
        : await routed(operation, attachments, inOrder, network);
    records.writeResults(record, final);
    return {
      printed: printedResult(operation, attachments, final),
      results: final,
    };
  } catch (error) {
    await rollBack(operation, record, touched, results, rollbackBy, caller);
    throw error;
  }
}

/** A request that was not met is an error where the node is strict, else a warning. */
function requireAsked(
  { config, log }: Operation,
  attachment: Attachment,
  result: Result,
): void {
  const problems = unmet(attachment, result);
  if (problems.length === 0) return;
  const message = problems.join(", ");
  if (config.strict) throw new CniError(Code.invalidNetworkConfig, message);
  log.warn(message, {
    network: attachment.list.name,
    ifname: attachment.ifname,
  });
}

/** Moves the pod's default route over the network that asks for it; the results as they are then. */
async function routed(
  { request, pod }: Operation,
  attachments: readonly Attachment[],
  results: Result[],
  network: string,
): Promise<Result[]> {
  try {
    const { requestedDefaultRoute, rerouted } =
      await import("./defaultroute.ts");
    const route = requestedDefaultRoute(attachments, results);
    if (!route) return results;
    const { moveDefaultRoutes } = await import("../netlink/defaultroute.ts");
    await moveDefaultRoutes(request.netns, route.ifname, route.gateways);
    return rerouted(attachments, results, route);
  } catch (error) {
    throw ofNetwork(CniError.from(error), pod, network);
  }
}

/** The name of the network that the pod's default route is to go over. */
function routedNetwork(attachments: readonly Attachment[]): string | undefined {
  for (const { asked, list } of attachments) {
    if (asked?.defaultRoute) return list.name;
  }
  return undefined;
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
    uptimeMs: world.uptimeMs(),
    path: [...path],
    // What was asked for has been held against the results by the time that it could matter.
    attachments: recorded,
  };
}

/** The primary's result, or all in one, in the version of the request (selection.md §7). */
function printedResult(
  { request, config }: Operation,
  attachments: readonly Attachment[],
  results: readonly Result[],
): Result {
  for (const [i, { ifname }] of attachments.entries()) {
    const result = results[i];
    if (ifname !== request.ifname || !result) continue;
    const merged = config.result === "merged" && mergeResults(results, i);
    return convertResult(merged || result, request.cniVersion);
  }
  throw new CniError(Code.internal, "no attachment has the name of CNI_IFNAME");
}

/**
 * DEL of the attachment that failed and of all before it. The record stays with
 * what could not be deleted; the error that is reported is the first one.
 */
async function rollBack(
  { records, request, log, path }: Operation,
  record: AttachmentRecord,
  touched: number,
  results: ReadonlyMap<string, Result>,
  deadline: Deadline,
  caller: Caller,
): Promise<void> {
  const target = {
    containerId: request.containerId,
    netns: request.netns,
    path,
  };
  const attachments = record.attachments.slice(0, touched);
  const outcome = await deleteAttachments(
    attachments,
    results,
    target,
    deadline,
    caller,
  );
  for (const { attachment, error } of outcome.errors) {
    log.error("rollback: failed to delete attachment", {
      network: attachment.list.name,
      ifname: attachment.ifname,
      error: error.message,
      details: error.details,
    });
  }
  try {
    if (outcome.remaining.length === 0) records.remove(record);
    else records.write({ ...record, attachments: outcome.remaining }).close();
  } catch (error) {
    // The record as it was names more than is left: a later DEL finds the rest gone.
    log.error("rollback: failed to update the attachment record", {
      error: messageOf(error),
    });
  }
}
