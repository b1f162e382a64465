/**
 * The attachments of an ADD: its record is written, the delegates are executed in order,
 * their results are written (state.md "ADD").
 */
import { CniError, Code, invalidConfig } from "../cni/error.ts";
import type { Caller } from "../cni/invoke.ts";
import { addNetwork, delNetwork } from "../cni/network.ts";
import { type Result, convertResult } from "../cni/result.ts";
import type { Deadline } from "../linux/deadline.ts";
import { messageOf } from "../linux/errno.ts";
import { isNamespace } from "../linux/netns.ts";
import {
  type Attachment,
  type Extras,
  asksForDefaultRoute,
  displayName,
} from "../select/attachment.ts";
import type { Lock } from "../state/lock.ts";
import { withSharedRecords } from "../state/records-lock.ts";
import { resultsByKey } from "../state/record.ts";
import type { DueStatus } from "../state/stored-results.ts";
import type { WrittenFile } from "../state/record-files.ts";
import type { PodNetworks } from "./choice/choose.ts";
import { type Context, prefixNetwork } from "./context.ts";
import { delegateCaller, runtimeConf } from "./delegates.ts";
import type { PodRouting } from "./default-route.ts";
import { newRecord, withAttachments } from "./new-record.ts";
import type { AddState, PresentAttachments } from "./rollback.ts";

/** The part of a pod's networks that an ADD executes. */
type NetworksToAdd = Pick<
  PodNetworks,
  "attachments" | "auxiliary" | "releaseChoice"
> & { choice: { primary: number } };

/** The callbacks of an ADD for the pod's status. */
export interface StatusReport {
  /** Called after the start of each delegate, while it runs. */
  prepare?(): void;
  /** The status that the agent is to write, by the results of all attachments; undefined: none. */
  due(results: readonly Result[]): Promise<DueStatus | undefined>;
}

interface AttachOptions {
  report?: StatusReport | undefined;
  /** Present for a running pod, which keeps them. */
  present?: PresentAttachments;
}

interface Run extends NetworksToAdd, AddState {
  attachments: Attachment[];
  /** For several networks in one pod (selection.md §8). */
  routing?: PodRouting | undefined;
  /** The first call makes the record durable; returns the error. */
  sync(): unknown;
}

interface AddOutcome {
  /** For the runtime. */
  printed: Result;
  /** In the order of the attachments. */
  results: readonly Result[];
  /** The agent is to write it: it is in the file of results. */
  due: DueStatus | undefined;
}

/** Any failure after the first execution rolls back. Throws the first error (state.md "ADD"). */
export async function attach(
  context: Context,
  networks: NetworksToAdd,
  lock: Lock,
  { forward, rollback }: { forward: Deadline; rollback: Deadline },
  { report, present }: AttachOptions = {},
): Promise<AddOutcome> {
  const run = await writeRecord(context, networks, forward, present);
  // While the first delegate runs, genie waits for the disk.
  const started = () => {
    report?.prepare?.();
    run.sync();
    run.routing?.prepare();
  };
  const caller = delegateCaller(context, lock, started);
  try {
    await runDelegates(context, run, forward, caller);
    return await finish(context, run, report);
  } catch (cause) {
    const error = CniError.from(cause);
    run.routing?.undo();
    const { rollBack } = await import("./rollback.ts");
    const failure = await rollBack(context, run, error, rollback, caller);
    await run.routing?.restoreRunning();
    throw failure;
  }
}

/** Throws 7 for a record that is too large, 5 for the disk: then nothing is executed. */
async function writeRecord(
  context: Context,
  networks: NetworksToAdd,
  deadline: Deadline,
  present?: PresentAttachments,
): Promise<Run> {
  const record = present
    ? withAttachments(present, networks.attachments)
    : newRecord(context, networks.attachments, networks.auxiliary);
  const file = await withSharedRecords(context, deadline, () =>
    context.records.create(record),
  );
  networks.releaseChoice?.();
  const sync = syncOnce(file);
  const results = present ? [...present.results] : [];
  return { ...networks, record, present, touched: [], results, sync };
}

function syncOnce(file: WrittenFile): () => unknown {
  let outcome: { error?: unknown } | undefined;
  return () => {
    if (outcome) return outcome.error;
    outcome = {};
    try {
      file.sync();
    } catch (error) {
      outcome.error = error;
    }
    return outcome.error;
  };
}

async function runDelegates(
  context: Context,
  run: Run,
  deadline: Deadline,
  caller: Caller,
): Promise<void> {
  const { attachments, present } = run;
  // The present attachments of a running pod are the first ones.
  const added = attachments.slice(present?.results.length);
  if (hasRouting(context, attachments)) {
    const { openRouting } = await import("./default-route.ts");
    run.routing = await openRouting(context, attachments, run.results);
  }
  for (const attachment of added) {
    run.touched.push(attachment);
    const { list, extras, device, capabilityArgs } = attachment;
    const runtime = runtimeConf(context, attachment);
    const add = () => addNetwork(list, runtime, deadline, caller);
    const del = () => delNetwork(list, runtime, undefined, deadline, caller);
    try {
      if (device) {
        const { prepareDeviceInfo } = await import("../kubelet/device-info.ts");
        prepareDeviceInfo(capabilityArgs, device);
      }
      const { routing } = run;
      const result = await (routing ? routing.execute(add, del) : add());
      run.results.push(result);
      await routing?.added(attachment, result);
      if (extras) await requireGiven(context, attachment, extras, result);
    } catch (error) {
      const network = displayName(attachment);
      throw prefixNetwork(error, context.pod, network);
    }
  }
  if (run.auxiliary)
    await runAuxiliary(context, run, run.auxiliary, deadline, caller);
}

/**
 * A pod with one network keeps the routes of its plugins. A virtual machine has no network
 * namespace on the node, so there are no routes to manage.
 */
function hasRouting(
  { request: { netns } }: Context,
  attachments: readonly Attachment[],
): boolean {
  return (
    asksForDefaultRoute(attachments) ||
    (attachments.length > 1 && isNamespace(netns))
  );
}

/** Adds the auxiliary chain: it gets the primary's result as prevResult, and its own is not reported (selection.md §11). */
async function runAuxiliary(
  context: Context,
  run: Run,
  auxiliary: Attachment,
  deadline: Deadline,
  caller: Caller,
): Promise<void> {
  const { list } = auxiliary;
  const runtime = runtimeConf(context, auxiliary);
  const primary = run.results[run.choice.primary];
  run.touched.push(auxiliary);
  try {
    run.auxiliaryResult = await addNetwork(
      list,
      runtime,
      deadline,
      caller,
      primary,
    );
  } catch (error) {
    throw prefixNetwork(error, context.pod, list.name);
  }
}

/** A requested address that was not assigned is an error with `strict`, else a warning (selection.md §6). */
async function requireGiven(
  { config, log }: Context,
  attachment: Attachment,
  extras: Extras,
  result: Result,
): Promise<void> {
  if (!extras.ips && !extras.mac) return;
  const { unmetRequests } = await import("../cni/result-query.ts");
  const problem = unmetRequests(extras, attachment.ifname, result).join(", ");
  if (problem === "") return;
  if (config.strict) throw invalidConfig(problem);
  const network = displayName(attachment);
  log().warn(problem, { network, ifname: attachment.ifname });
}

/**
 * Plans the routes, writes the results, and changes the routes: a recorded result means that
 * ADD completed, and DEL undoes only recorded routes.
 */
async function finish(
  context: Context,
  run: Run,
  report?: StatusReport,
): Promise<AddOutcome> {
  const { record, routing, present } = run;
  const problem = run.sync();
  if (problem !== undefined)
    throw new CniError(
      Code.io,
      `failed to write attachment record: ${messageOf(problem)}`,
      { cause: problem },
    );
  const routed = await routing?.plan(run.results);
  const results = routed?.stored ?? run.results;
  const printable = routed?.printable ?? run.results;
  const printed = await printedResult(context, printable, run.choice.primary);
  const tables = present
    ? new Map([...present.stored.routing, ...(routed?.tables ?? [])])
    : routed?.tables;
  const due = await report?.due(results);
  const stored = resultsByKey(run, results, present?.stored.results);
  context.records.writeResults(record, stored, tables, due);
  routing?.apply();
  return { printed, results, due };
}

/** The primary's result, or all in one, in the version of the request. */
async function printedResult(
  { request, config }: Context,
  results: readonly Result[],
  primary: number,
): Promise<Result> {
  let result = results[primary];
  if (config.result === "merged") {
    const { mergeResults } = await import("../cni/merge-results.ts");
    result = mergeResults(results, primary);
  }
  if (!result) throw new CniError(Code.internal, "no primary attachment");
  return convertResult(result, request.cniVersion);
}
