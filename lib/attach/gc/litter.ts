/** What a killed genie leaves beside records: locks, temporary files, lone notes. */
import { CniError } from "../../cni/error.ts";
import type { Deadline } from "../../linux/deadline.ts";
import { listIfAny } from "../../linux/files.ts";
import { lockIfLeft, tryWithContainerLock } from "../../state/lock.ts";
import {
  abandonedRecords,
  recordDirectory,
} from "../../state/record-directory.ts";
import type { Context } from "../context.ts";

/** Removes the locks and temporary files of a genie that was killed before it had a record. */
export async function removeLitter(
  context: Context,
  deadline: Deadline,
): Promise<CniError[]> {
  const { config } = context;
  const records = recordDirectory(context);
  const errors: CniError[] = [];
  const attempt = async (work: () => unknown) => {
    try {
      await work();
    } catch (error) {
      errors.push(CniError.from(error));
    }
  };
  for (const all of [records, abandonedRecords(context)])
    for (const containerId of all.containersOfTemporaryFiles())
      await attempt(() =>
        tryWithContainerLock(context, containerId, deadline, async () =>
          all.removeTemporaryFiles(containerId),
        ),
      );
  const directory = `${config.dataDir}/locks`;
  for (const containerId of listIfAny(directory))
    await attempt(() => lockIfLeft(`${directory}/${containerId}`)?.release());
  await attempt(() => records.removeLoneNotes());
  return errors;
}
