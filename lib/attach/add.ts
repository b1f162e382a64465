/**
 * ADD: the pod's choice, the left-overs of an earlier ADD, the attachments, the pod's
 * status (state.md "ADD").
 */
import { CniError, Code, invalidConfig } from "../cni/error.ts";
import type { Result } from "../cni/result.ts";
import type { Deadline } from "../linux/deadline.ts";
import { type Lock, withContainerLock } from "../state/lock.ts";
import { RecordError } from "../state/record.ts";
import { boundedText } from "../state/record-text.ts";
import { type StatusReport, attach } from "./add-attachments.ts";
import { type PodNetworks, choose } from "./choice/choose.ts";
import {
  type AnnotatedPod,
  readPod,
  requestAnnotations,
} from "./choice/pod-annotations.ts";
import {
  type Context,
  type OpenKube,
  deadlineOf,
  openOnce,
  readNetworks,
  refuseNested,
} from "./context.ts";
import { newRecord } from "./new-record.ts";

export async function add(context: Context): Promise<Result> {
  const { request, records, config } = context;
  if (hasIdleKeys(config)) await warnOfKeys(context);
  refusePrevResult(context);
  refuseNested(context);
  const forward = deadlineOf(context, "add");
  const deadlines = { forward, rollback: deadlineOf(context, "rollback") };
  const api = openOnce(context, forward);
  const annotations = requestAnnotations(context);
  const reading = annotations
    ? { pod: { annotations } }
    : await startReadingPod(context, api);
  const { containerId } = request;
  return withContainerLock(context, containerId, forward, async (lock) => {
    const networks = readNetworks(context);
    const pod = await reading.pod;
    const chosen = await choose(context, pod, networks, api, forward);
    if (records.has(request))
      await deleteLeftOver(context, chosen, lock, forward);
    const report = statusReport(context, pod, chosen, api);
    const added = await attach(context, chosen, lock, deadlines, { report });
    if (!added.due) await report?.write(added.results);
    return added.printed;
  });
}

/** Keys without effect. */
function hasIdleKeys({ unknownKeys, hasEmptyAutomatic }: Context["config"]) {
  return unknownKeys.length > 0 || hasEmptyAutomatic;
}

async function warnOfKeys({ config, log }: Context): Promise<void> {
  const { unknownKeys, hasEmptyAutomatic } = config;
  const { describeUnknownKeys } = await import("../select/nearest-key.ts");
  const { configKeys, emptyAutomatic } =
    await import("../select/config-schema.ts");
  if (hasEmptyAutomatic) log().warn(emptyAutomatic);
  if (unknownKeys.length === 0) return;
  const keys = describeUnknownKeys(unknownKeys, configKeys);
  log().warn(`unknown configuration keys are ignored: ${keys}`);
}

interface AddReport extends StatusReport {
  /** The PATCH, unless the status is due. Never throws. */
  write(results: readonly Result[]): Promise<void>;
}

/**
 * The pod's status, if it is to be reported: the agent's work, or a PATCH whose connection
 * is opened while the first delegate runs.
 */
function statusReport(
  context: Context,
  pod: AnnotatedPod,
  { attachments, isReported }: PodNetworks,
  api: OpenKube,
): AddReport | undefined {
  if (!isReported) return undefined;
  let preparing: Promise<void> | undefined;
  const prepare = async () => {
    const { prepareWriteBack } = await import("./write-back.ts");
    await prepareWriteBack(context, api);
  };
  return {
    prepare: () => void (preparing ??= prepare()),
    async due(results) {
      const { statusForAgent } = await import("./write-back.ts");
      return statusForAgent(context, pod, attachments, results);
    },
    async write(results) {
      const { writeBack } = await import("./write-back.ts");
      await writeBack(context, pod, attachments, results, api);
    },
  };
}

/** A plugin must pass prevResult on in its result (P-ADD-3), which genie cannot. */
function refusePrevResult({ request }: Context): void {
  const prevResult = request.config["prevResult"];
  if (prevResult === undefined || prevResult === null) return;
  throw invalidConfig(
    "prevResult is given: genie must be the first plugin of its network",
  );
}

/**
 * The GET of the pod overlaps the lock: the promise is in an object, because returned
 * alone it would be awaited here. Two turns of the event loop connect and send the first
 * message of TLS before synchronous work keeps the loop from turning.
 */
async function startReadingPod(
  context: Context,
  api: OpenKube,
): Promise<{ pod: Promise<AnnotatedPod> }> {
  const pod = readPod(context, api);
  // Handled where it is awaited, under the lock.
  pod.catch(() => {});
  await context.dependencies.sleep(0);
  await context.dependencies.sleep(0);
  return { pod };
}

/** Deletes the attachments of an earlier ADD of this container and interface. */
async function deleteLeftOver(
  context: Context,
  { attachments, auxiliary }: PodNetworks,
  lock: Lock,
  deadline: Deadline,
): Promise<void> {
  // Throws for a choice that cannot be recorded: then nothing is executed.
  boundedText(newRecord(context, attachments, auxiliary));
  const { deleteRecorded } = await import("./del.ts");
  try {
    await deleteRecorded(context, lock, deadline);
  } catch (cause) {
    // Our own disk or an unreadable record: the runtime sees that error.
    if (cause instanceof RecordError) throw cause;
    const { message, details } = CniError.from(cause);
    throw new CniError(
      Code.tryAgainLater,
      `failed to delete a left-over attachment of this container: ${message}`,
      { details, cause },
    );
  }
}
