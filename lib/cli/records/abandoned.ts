/**
 * Attachments that could not be deleted, as commands show them: `genie list
 * --abandoned` and `genie doctor` list them, `genie gc --drop` forgets them
 * (state.md "Never stuck, never forgotten").
 */
import { abandonedRecords, isErrorOf } from "../../attach/abandoned.ts";
import type { Context } from "../../attach/context.ts";
import { type Result, modernResult } from "../../cni/result.ts";
import { Deadline } from "../../linux/deadline.ts";
import { messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import { displayName } from "../../select/attachment.ts";
import { withContainerLock } from "../../state/lock.ts";
import type { RecordEntry } from "../../state/record-directory.ts";
import {
  type AttachmentRecord,
  CorruptRecord,
  type PodReference,
  executedIn,
  resultKey,
} from "../../state/record.ts";

export interface AbandonedAttachment {
  containerId: string;
  pod?: PodReference;
  ifname: string;
  /** The name in the pod's annotation, or the file key. */
  network: string;
  /** The addresses that ADD assigned, with prefix. */
  ips: string[];
  /** The time when it was abandoned; the time of its ADD if the former is unknown. */
  time: string;
  /** The errors of the last DEL, if known. */
  error: string;
}

export interface AbandonedOnNode {
  attachments: AbandonedAttachment[];
  /** Messages about unreadable records. */
  unreadable: string[];
}

/** All abandoned attachments of this node, the longest untried first. */
export async function abandonedOnNode({
  config,
}: Context): Promise<AbandonedOnNode> {
  const records = abandonedRecords(config);
  const found: AbandonedOnNode = { attachments: [], unreadable: [] };
  for await (const { name, record, error } of records.oldestFirst()) {
    if (!record) {
      found.unreadable.push(
        `abandoned record ${quote(name)}: ${messageOf(error)}`,
      );
      continue;
    }
    const { results } = await records.readResults(record);
    const { containerId, pod, abandoned, time } = record;
    for (const attachment of executedIn(record)) {
      const { ifname } = attachment;
      const result = results.get(resultKey(attachment));
      const failure = abandoned?.errors.find((one) =>
        isErrorOf(one, attachment),
      );
      found.attachments.push({
        containerId,
        ...(pod && { pod }),
        ifname,
        network: displayName(attachment),
        ips: addressesOf(result),
        time: abandoned?.time ?? time,
        error: failure?.error ?? "",
      });
    }
  }
  return found;
}

/** The addresses of a result, with prefix. */
export function addressesOf(result: Result | undefined): string[] {
  return result ? modernResult(result).ips.map(({ address }) => address) : [];
}

/**
 * Forgets the abandoned attachments of a container, or of all. `container` is an ID
 * or its unambiguous beginning. Returns a description of each; damaged records are
 * renamed. Throws Error if the container has none.
 */
export async function drop(
  context: Context,
  container: string | undefined,
): Promise<string[]> {
  const records = abandonedRecords(context.config);
  const entries = (await Array.fromAsync(records.all())).filter(
    ({ record, error }) => record ?? error instanceof CorruptRecord,
  );
  const chosen =
    container === undefined ? entries : ofContainer(container, entries);
  const lines: string[] = [];
  for (const { name, record } of chosen) {
    if (!record) {
      records.setAside(name);
      lines.push(
        `dropped ${name}: unreadable, kept as ${name}.json.corrupt; its addresses stay reserved`,
      );
      continue;
    }
    const deadline = new Deadline(lockMs, context.dependencies.clock);
    const forget = async () => {
      lines.push(...(await reserved(records, record)));
      records.remove(record);
    };
    await withContainerLock(context, deadline, forget, record);
  }
  return lines;
}

/** Milliseconds to wait for a retry that runs now. */
const lockMs = 20_000;

/** The container ID; of a damaged record, from its name, where a hash may replace it. */
function containerOf({ record, name }: RecordEntry): string {
  return record?.containerId ?? name.split(":")[0] ?? name;
}

/** The records of the container with this ID or this beginning of an ID. Throws Error for none and for several containers. */
function ofContainer(
  container: string,
  entries: readonly RecordEntry[],
): readonly RecordEntry[] {
  const groups = Map.groupBy(entries, containerOf);
  // One ID can be the beginning of another.
  const exact = groups.get(container);
  if (exact) return exact;
  const [found, ...others] = [...groups].filter(([id]) =>
    id.startsWith(container),
  );
  if (!found) throw new Error(`nothing is abandoned of container ${container}`);
  if (others.length === 0) return found[1];
  const ids = [found, ...others].map(([id]) => id).join(", ");
  throw new Error(
    `${container} is the beginning of several containers: ${ids}`,
  );
}

/** The addresses and devices that stay reserved. */
async function reserved(
  records: ReturnType<typeof abandonedRecords>,
  record: AttachmentRecord,
): Promise<string[]> {
  const { results } = await records.readResults(record);
  return executedIn(record).map((attachment) => {
    const { ifname } = attachment;
    const result = results.get(resultKey(attachment));
    const ips = addressesOf(result);
    const what =
      ips.length > 0 ? ips.join(", ") : "the addresses of the container";
    return `dropped ${record.containerId} ${ifname}: network ${displayName(attachment)} may keep ${what} reserved`;
  });
}
