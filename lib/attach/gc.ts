/**
 * GC: records that the runtime no longer knows are deleted, then every network
 * in use is told what must stay (state.md "CHECK, GC, STATUS").
 */
import { Deadline } from "../linux/deadline.ts";
import { CniError } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import { listIfAny, requireOwnFolder } from "../linux/files.ts";
import { throwJoined } from "../cni/network.ts";
import { abandonedRecords } from "./abandoned.ts";
import { gcNetworks, isOnlyGenieNetwork } from "./gc-networks.ts";
import {
  deleteStaleRecords,
  deleteUnreadableRecords,
  staleRecords,
} from "./gc-records.ts";
import { lockIfLeft } from "./lock.ts";
import { type Operation, isNested, phases } from "./context.ts";
import type { RecordEntry } from "./record.ts";
import { RecordSurveyor } from "./record-survey.ts";
import { abandonedByNow, retryAbandoned } from "./retry-abandoned.ts";
import { ValidAttachments } from "./valid-attachments.ts";

/** Goes on after errors; throws the first with the others in its details. */
export async function gc(operation: Operation): Promise<void> {
  const { request, config, world } = operation;
  if (isNested(operation)) return;
  requireOwnFolder(`${config.dataDir}/locks`);
  const valid = new ValidAttachments(request.config);
  const deadline = new Deadline(phases.gc, world.clock);
  // Not what this GC itself will abandon.
  const abandoned = abandonedByNow(operation);
  const surveyor = new RecordSurveyor(operation);
  const before = surveyor.read();
  const isOnly = isOnlyGenieNetwork(operation);
  // Half of the time is the networks': a stale record that hangs must not cost them theirs.
  const forRecords = deadline.atMost(deadline.remaining / 2);
  const records = await deleteStaleRecords(
    operation,
    staleRecords(operation, before, valid),
    forRecords,
  );
  const unreadable = isOnly
    ? await deleteUnreadableRecords(operation, before, valid, forRecords)
    : [];
  const networks = await gcNetworks(
    { operation, valid, surveyor, before, stale: records.tried, isOnly },
    deadline,
  );
  const litter = removeLitter(operation);
  await retryLast(operation, abandoned, deadline);
  throwJoined([...records.errors, ...unreadable, ...networks, ...litter]);
}

/** What was abandoned comes last, and fails no GC (state.md "Never stuck, never forgotten"). */
async function retryLast(
  operation: Operation,
  abandoned: Iterable<RecordEntry>,
  deadline: Deadline,
): Promise<void> {
  const { request, log } = operation;
  try {
    const { kept } = await retryAbandoned(
      operation,
      abandoned,
      deadline,
      request.config.name,
    );
    for (const { what, why } of kept)
      log.info("kept an abandoned attachment", { container: what, why });
  } catch (error) {
    log.warn("failed to try what was abandoned", { error: messageOf(error) });
  }
}

/** What a genie left that was killed before it had a record: a lock that nobody holds, files without their names. */
export function removeLitter({ config, records }: Operation): CniError[] {
  const errors: CniError[] = [];
  const attempt = (work: () => void) => {
    try {
      work();
    } catch (error) {
      errors.push(CniError.from(error));
    }
  };
  const folder = `${config.dataDir}/locks`;
  for (const containerId of listIfAny(folder)) {
    attempt(() => {
      const lock = lockIfLeft(`${folder}/${containerId}`);
      if (lock)
        for (const all of [records, abandonedRecords(config)])
          all.removeUnnamed(containerId);
      lock?.release();
    });
  }
  attempt(() => records.removeLone());
  return errors;
}
