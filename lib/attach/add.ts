/**
 * ADD, the story: the pod's choice, the record of what will be executed, the
 * delegates in order, the record of what they answered, the answer (state.md
 * "ADD"). Whatever fails after the first delegate was executed is undone.
 */
import { Deadline } from "../linux/deadline.ts";
import { Code, CniError } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import { addNetwork, delNetwork, validateNetwork } from "../cni/network.ts";
import { type Result, convertResult } from "../cni/result.ts";
import type { Kube } from "../kube/client.ts";
import type { Networks } from "../select/resolve.ts";
import {
  type Annotations,
  type Attachment,
  type Selection,
  asksForDefinitions,
  choosesAny,
  displayName,
  isWrittenBack,
  selectAttachments,
} from "../select/select.ts";
import { rollBack } from "./delete-attachments.ts";
import { type Lock, withContainerLock, withSharedRecords } from "./lock.ts";
import {
  type Context,
  delegateCaller,
  isNested,
  prefixNetwork,
  phases,
  recursion,
  runtimeConf,
  readNetworks,
} from "./context.ts";
import { type Place, newRecord, placeOf } from "./new-record.ts";
import { givenAnnotations, readPod } from "./annotations.ts";
import { RecordError, boundedText } from "./record.ts";
import type { PodRouting } from "./routing.ts";
import type { WrittenFile } from "./records.ts";

export async function add(context: Context): Promise<Result> {
  const { request, config, records, dependencies } = context;
  refuseChain(context);
  if (isNested(context)) throw recursion(context);
  const forward = new Deadline(phases.add, dependencies.clock);
  const rollbackBy = new Deadline(phases.rollback, dependencies.clock);
  // Asked before anything else that can wait.
  const kube = once(() => dependencies.kube(config, forward));
  const given = givenAnnotations(config);
  const pod = given ? undefined : readPod(context, kube);
  pod?.catch(() => {});
  if (pod) {
    // Two turns of the event loop: the socket is connected, TLS's first message is
    // sent. While the server answers it, enough is to do that keeps the loop from turning.
    await dependencies.sleep(0);
    await dependencies.sleep(0);
  }
  return withContainerLock(context, forward, async (lock) => {
    // Read while the API server says who it is; after one more turn the request
    // is sent, and the next lines are done by the time that it is answered.
    const networks = readNetworks(context);
    if (pod) await dependencies.sleep(0);
    const place = placeOf(context);
    const usual = pod && usualChoice(context, networks);
    const known = pod ? await pod : { annotations: given ?? {} };
    const { annotations } = known;
    let attachments = choosesAny(annotations) ? undefined : usual;
    attachments ??= asksForDefinitions(annotations)
      ? await choose(context, annotations, kube, forward, networks)
      : selected(context, annotations, networks);
    context.chosen?.({ annotations, networks, attachments });
    if (records.has(request.containerId, request.ifname)) {
      // What cannot be recorded is refused before anything is executed.
      boundedText(newRecord(context, attachments, place));
      await deleteLeftOver(context, lock, forward);
    }
    const attached = await attach(context, attachments, place, lock, {
      forward,
      rollbackBy,
    });
    if (isWrittenBack(attachments, annotations)) {
      const { writeBack } = await import("./write-back.ts");
      await writeBack(context, known, attachments, attached.results, kube);
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
function refuseChain({ request }: Context): void {
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

/** What most pods get, who choose nothing; undefined where that fails, which only they are told. */
function usualChoice(
  context: Context,
  networks: Networks,
): Attachment[] | undefined {
  try {
    return selected(context, {}, networks);
  } catch {
    return undefined;
  }
}

/** The attachments, each known to be executable before the first of them is executed. */
export async function choose(
  context: Context,
  annotations: Annotations,
  kube: () => Promise<Kube>,
  deadline: Deadline,
  networks: Networks,
): Promise<Attachment[]> {
  if (!asksForDefinitions(annotations))
    return selected(context, annotations, networks);
  const { definedNetworks } = await import("./fetch-definitions.ts");
  const defined = await definedNetworks(
    context,
    annotations,
    networks,
    kube,
    deadline,
  );
  const attachments = selected(context, annotations, networks, defined);
  const extras = await extrasOf(attachments);
  const { containerId } = context.request;
  return extras?.withDeviceInfoFiles(containerId, attachments) ?? attachments;
}

function selected(
  { request, config, dependencies, path, pod }: Context,
  annotations: Annotations,
  networks: Networks,
  defined?: Pick<Selection, "defaultNetwork" | "added">,
): Attachment[] {
  const { ifname, args } = request;
  const selection = { annotations, config, networks, ifname, args, ...defined };
  const self = dependencies.self();
  const attachments = selectAttachments(selection);
  for (const attachment of attachments) {
    try {
      validateNetwork(attachment.list, path, self);
    } catch (error) {
      throw prefixNetwork(CniError.from(error), pod, displayName(attachment));
    }
  }
  return attachments;
}

/** What deals with what a pod asks of a network; undefined for the many pods that ask for nothing. */
function extrasOf(attachments: readonly Attachment[]) {
  for (const { asked } of attachments) {
    if (asked) return import("./requests.ts");
  }
  return undefined;
}

/** An earlier ADD of this container and interface that was never deleted. */
async function deleteLeftOver(
  context: Context,
  lock: Lock,
  deadline: Deadline,
): Promise<void> {
  const { deleteRecorded } = await import("./del.ts");
  try {
    await deleteRecorded(context, lock, deadline);
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

/** Loaded for several networks in one pod (selection.md §8); a pod with one keeps what its plugins made. */
async function routingOf(context: Context, attachments: readonly Attachment[]) {
  const [first] = attachments;
  if (attachments.length === 1 && !first?.asked?.defaultRoute) return undefined;
  const { openRouting } = await import("./routing.ts");
  return openRouting(context, attachments);
}

interface Attached {
  printed: Result;
  /** In the order of the attachments. */
  results: Result[];
}

async function attach(
  context: Context,
  attachments: Attachment[],
  place: Place,
  lock: Lock,
  { forward, rollbackBy }: { forward: Deadline; rollbackBy: Deadline },
): Promise<Attached> {
  const { request, records, pod, config } = context;
  const extras = await extrasOf(attachments);
  const record = newRecord(context, attachments, place);
  const written = await withSharedRecords(context, forward, () =>
    records.create(record),
  );
  // The disk is waited for while the first delegate works.
  const durable = durability(written);
  let routing: PodRouting | undefined;
  const started = () => {
    durable();
    routing?.prepare();
  };
  const caller = { ...delegateCaller(context, lock), started };
  const results = new Map<string, Result>();
  const inOrder: Result[] = [];
  let touched = 0;
  try {
    routing = await routingOf(context, attachments);
    for (const attachment of attachments) {
      touched++;
      try {
        const runtime = runtimeConf(context, attachment);
        extras?.prepareDeviceInfo(attachment);
        const { list } = attachment;
        const execute = () => addNetwork(list, runtime, forward, caller);
        const undo = () =>
          delNetwork(list, runtime, undefined, forward, caller);
        const result = routing
          ? await routing.execute(execute, undo)
          : await execute();
        results.set(attachment.ifname, result);
        inOrder.push(result);
        routing?.added(attachment, result);
        extras?.requireAsked(context, attachment, result);
      } catch (error) {
        throw prefixNetwork(CniError.from(error), pod, displayName(attachment));
      }
    }
    const problem = durable();
    if (problem !== undefined) {
      throw new CniError(
        Code.io,
        `failed to write attachment record: ${messageOf(problem)}`,
        { cause: problem },
      );
    }
    const settled = routing?.plan(inOrder);
    const final = settled?.stored ?? inOrder;
    const printable = settled?.printable ?? inOrder;
    const primary = primaryOf(attachments, request.ifname);
    const chosen =
      config.result === "primary"
        ? printable[primary]
        : (await import("../cni/merge-results.ts")).mergeResults(
            printable,
            primary,
          );
    if (!chosen) throw new CniError(Code.internal, "no primary attachment");
    const printed = convertResult(chosen, request.cniVersion);
    // An attachment with a recorded result is one that ADD completed; what is made
    // now is in the file already, for whoever deletes it.
    records.writeResults(record, final, settled?.tables);
    routing?.apply();
    return { printed, results: final };
  } catch (cause) {
    const error = CniError.from(cause);
    routing?.undo();
    const added = { record, touched, results, error };
    throw await rollBack(context, added, rollbackBy, caller);
  }
}

/** Makes the record durable when the returned function is first called; the function returns the failure. */
function durability(written: WrittenFile): () => unknown {
  let outcome: { error?: unknown } | undefined;
  return () => {
    if (outcome) return outcome.error;
    outcome = {};
    try {
      written.sync();
    } catch (error) {
      outcome.error = error;
    }
    return outcome.error;
  };
}

/** The index of the attachment that has the name of CNI_IFNAME. */
function primaryOf(attachments: readonly Attachment[], name: string): number {
  let index = 0;
  for (const { ifname } of attachments) {
    if (ifname === name) break;
    index++;
  }
  return index;
}
