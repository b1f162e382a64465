/**
 * GC: records that the runtime no longer knows are deleted, then every network
 * in use is told what must stay (state.md "CHECK, GC, STATUS").
 */
import { Deadline } from "../linux/deadline.ts";
import { CniError } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import { listIfAny, requireOwnDirectory } from "../linux/files.ts";
import { throwFirst } from "../cni/network.ts";
import { abandonedRecords } from "./abandoned.ts";
import { gcNetworks, isOnlyGenieNetwork } from "./gc-networks.ts";
import {
  deleteStaleRecords,
  deleteUnreadableRecords,
  staleRecords,
} from "./gc-records.ts";
import { lockIfLeft } from "./lock.ts";
import { type Context, isNested, phases } from "./context.ts";
import type { RecordEntry } from "./record.ts";
import { RecordSurveyor } from "./record-survey.ts";
import { abandonedByNow, retryAbandoned } from "./retry-abandoned.ts";
import { ValidAttachments } from "./valid-attachments.ts";

/** Goes on after errors; throws the first with the others in its details. */
export async function gc(context: Context): Promise<void> {
  const { request, config, dependencies } = context;
  if (isNested(context)) return;
  requireOwnDirectory(`${config.dataDir}/locks`);
  const valid = new ValidAttachments(request.config);
  const deadline = new Deadline(phases.gc, dependencies.clock);
  // Not what this GC itself will abandon.
  const abandoned = abandonedByNow(context);
  const surveyor = new RecordSurveyor(context);
  const before = surveyor.read();
  const isOnly = isOnlyGenieNetwork(context);
  // Half of the time is the networks': a stale record that hangs must not cost them theirs.
  const forRecords = deadline.atMost(deadline.remaining / 2);
  const records = await deleteStaleRecords(
    context,
    staleRecords(context, before, valid),
    forRecords,
  );
  const unreadable = isOnly
    ? await deleteUnreadableRecords(context, before, valid, forRecords)
    : [];
  const networks = await gcNetworks(
    { context, valid, surveyor, before, stale: records.tried, isOnly },
    deadline,
  );
  const litter = removeLitter(context);
  await retryLast(context, abandoned, deadline);
  throwFirst([...records.errors, ...unreadable, ...networks, ...litter]);
}

/** What was abandoned comes last, and fails no GC (state.md "Never stuck, never forgotten"). */
async function retryLast(
  context: Context,
  abandoned: Iterable<RecordEntry>,
  deadline: Deadline,
): Promise<void> {
  const { request, log } = context;
  try {
    const { kept } = await retryAbandoned(
      context,
      abandoned,
      deadline,
      request.config.name,
    );
    for (const { what, why } of kept)
      log().info("kept an abandoned attachment", { container: what, why });
  } catch (error) {
    log().warn("failed to try what was abandoned", { error: messageOf(error) });
  }
}

/** What a genie left that was killed before it had a record: a lock that nobody holds, files without their names. */
export function removeLitter({ config, records }: Context): CniError[] {
  const errors: CniError[] = [];
  const attempt = (work: () => void) => {
    try {
      work();
    } catch (error) {
      errors.push(CniError.from(error));
    }
  };
  const directory = `${config.dataDir}/locks`;
  for (const containerId of listIfAny(directory)) {
    attempt(() => {
      const lock = lockIfLeft(`${directory}/${containerId}`);
      if (lock)
        for (const all of [records, abandonedRecords(config)])
          all.removeUnnamed(containerId);
      lock?.release();
    });
  }
  attempt(() => records.removeLone());
  return errors;
}
