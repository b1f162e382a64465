/**
 * Attachments that could not be deleted, as commands show them: `genie list
 * --abandoned` and `genie doctor` list them, `genie gc --drop` forgets them
 * (state.md "Never stuck, never forgotten").
 */
import { forgetRecord, isErrorOf } from "../../attach/abandoned/abandoned.ts";
import type { Context } from "../../attach/context.ts";
import { Deadline } from "../../linux/deadline.ts";
import { messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import { withContainerLock } from "../../state/lock.ts";
import {
  type RecordDirectory,
  type RecordEntry,
  abandonedRecords,
} from "../../state/record-directory.ts";
import {
  type AttachmentRecord,
  CorruptRecord,
  executedIn,
} from "../../state/record.ts";
import {
  type OnNode,
  type ShownAttachment,
  shownAttachment,
} from "./listed-attachments.ts";

export interface AbandonedAttachment extends ShownAttachment {
  /** The time when it was abandoned; the time of its ADD if the former is unknown. */
  time: string;
  /** The errors of the last DEL, if known. */
  error: string;
}

/** All abandoned attachments of this node, the longest untried first. */
export async function abandonedOnNode(
  context: Context,
): Promise<OnNode<AbandonedAttachment>> {
  const records = abandonedRecords(context);
  const attachments: AbandonedAttachment[] = [];
  const unreadable: string[] = [];
  for await (const { name, record, error } of records.oldestFirst()) {
    if (!record) {
      unreadable.push(unreadableText(name, error));
      continue;
    }
    const { results } = await records.readResults(record);
    const { abandoned, time } = record;
    for (const attachment of executedIn(record)) {
      const failure = abandoned?.errors.find((one) =>
        isErrorOf(one, attachment),
      );
      attachments.push({
        ...shownAttachment(record, attachment, results),
        time: abandoned?.time ?? time,
        error: failure?.error ?? "",
      });
    }
  }
  return { attachments, unreadable };
}

function unreadableText(name: string, error: unknown): string {
  return `abandoned record ${quote(name)}: ${messageOf(error)}`;
}

/**
 * Forgets the abandoned attachments of a container, or of all. `container` is an ID
 * or its unambiguous beginning. Returns a description of each; damaged records are
 * renamed. `kept` says why records stay: a newer genie wrote them, or the disk failed.
 * Throws Error if the container has none.
 */
export async function drop(
  context: Context,
  container: string | undefined,
): Promise<{ lines: string[]; kept: string[] }> {
  const records = abandonedRecords(context);
  const entries = await Array.fromAsync(records.all());
  const chosen =
    container === undefined ? entries : ofContainer(container, entries);
  const lines: string[] = [];
  const kept: string[] = [];
  for (const { name, record, error } of chosen) {
    if (record) {
      const deadline = new Deadline(lockMs, context.dependencies.clock);
      const forget = async () => {
        lines.push(...(await reserved(records, record)));
        await forgetRecord(context, record);
      };
      await withContainerLock(context, record.containerId, deadline, forget);
    } else if (error instanceof CorruptRecord) {
      records.setAside(name);
      lines.push(
        `dropped ${name}: unreadable, kept as ${name}.json.corrupt; its addresses stay reserved`,
      );
    } else kept.push(unreadableText(name, error));
  }
  return { lines, kept };
}

/** Milliseconds to wait for a retry that runs now. */
const lockMs = 20_000;

/** The container ID; for a damaged record, from the file's name, which may be a hash. */
function containerOf({ record, name }: RecordEntry): string {
  return record?.containerId ?? name.split(":")[0] ?? name;
}

/**
 * The records of the container with this ID or this beginning of an ID. Throws Error for
 * none and for several containers.
 */
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
  records: RecordDirectory,
  record: AttachmentRecord,
): Promise<string[]> {
  const { results } = await records.readResults(record);
  return executedIn(record).map((attachment) => {
    const { containerId, ifname, network, ips } = shownAttachment(
      record,
      attachment,
      results,
    );
    const what = ips.join(", ") || "the addresses of the container";
    return `dropped ${containerId} ${ifname}: network ${network} may keep ${what} reserved`;
  });
}
