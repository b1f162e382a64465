/**
 * What an attachment record says and how it is read again (state.md "The
 * record"). DEL, CHECK and GC use nothing else; the files are `store`'s matter.
 */
import type { NetworkConfigList } from "../cni/conflist.ts";
import { CniError, Code } from "../cni/error.ts";
import {
  type JsonObject,
  isObject,
  maxDepth,
  own,
  parseJson,
} from "../cni/json.ts";
import { messageOf } from "../linux/errno.ts";
import { bytesOf, isLonger } from "../linux/text.ts";
import type { Attachment } from "../select/select.ts";
import { faultIn } from "./record-fault.ts";

/** What every genie reads; see {@link newestFormat}. */
export const formatVersion = 1;

/** Only where format 1 cannot say it: the attachments share configurations. 0.1.0 refuses it with 11. */
export const newestFormat = 2;

/** The most that the record of an ADD may have (state.md "What ADD writes, DEL reads"). */
const maxRecordBytes = 4 << 20;

/** Whom the attachments belong to, for messages and lists; absent outside of Kubernetes. */
export interface PodReference {
  namespace: string;
  name: string;
  uid: string;
}

/** Everything that DEL, CHECK and GC need, written before the first delegate is executed. */
export interface AttachmentRecord {
  formatVersion: number;
  containerId: string;
  /** CNI_IFNAME of the request. */
  ifname: string;
  netns: string;
  /** `"device:inode"` of that namespace: a path of a process leads to another one when its number is used again. */
  netnsId?: string | undefined;
  /** The inode of the mount namespace in which that path was told; 0.1.0 wrote none. */
  mountNamespace?: string | undefined;
  /** The name of our own network configuration, by which the runtime asks for GC. */
  network: string;
  pod?: PodReference | undefined;
  /** When it was written: for people, and on the clock that never runs backwards. */
  time: string;
  bootId: string;
  /** Milliseconds since that boot. */
  uptimeMs: number;
  /** The directories where plugins were found. */
  path: string[];
  /** In the order of execution; of what could not be deleted, in the order of `Outcome`. */
  attachments: Attachment[];
  /** The DELs that failed, of one that ADD completed (state.md "Never stuck, never forgotten"). */
  failures?: DeleteFailures | undefined;
  /** Of a container that Multus attached: made of its file, so there are no results. */
  adopted?: boolean | undefined;
  /** Only in `<dataDir>/abandoned`: why it is there. */
  abandoned?: Abandonment | undefined;
}

export interface DeleteFailures {
  count: number;
  /** When the first of them was: milliseconds since a boot. */
  bootId: string;
  uptimeMs: number;
}

/** What could not be deleted, and was not the runtime's matter any more. */
export interface Abandonment {
  time: string;
  errors: { ifname: string; network: string; error: string }[];
}

/** What tells an ADD from all others. */
type AddOfRecord = Pick<
  AttachmentRecord,
  "containerId" | "ifname" | "bootId" | "uptimeMs"
>;

/** Whether two records are the same ADD's, whatever is still left in each. */
export function isSameAdd(a: AddOfRecord, b: AddOfRecord): boolean {
  return (
    a.containerId === b.containerId &&
    a.ifname === b.ifname &&
    a.bootId === b.bootId &&
    a.uptimeMs === b.uptimeMs
  );
}

/** Our own disk failed, or what is on it is unreadable: always code 5, and never a delegate's error. */
export class RecordError extends CniError {
  constructor(message: string, cause: unknown) {
    super(Code.io, message, { cause });
  }
}

/** A record that cannot be understood; it is moved aside and never silently dropped. */
export class CorruptRecord extends Error {}

/** A record of the directory, or why it cannot be read. */
export type RecordEntry =
  | { name: string; record: AttachmentRecord; error?: undefined }
  | { name: string; record?: undefined; error: unknown };

/**
 * What ADD took from outside stands some levels down in a record; and 0.1.0,
 * whose records must be read, took a hundred times as many levels.
 */
export const recordDepth = 100 * maxDepth + 100;

/**
 * What ADD made in the pod so that an attachment that does not own the default route
 * answers by its own interface (selection.md §8): a table, and the sources of the rules
 * that look there. A key `routing` beside the attachment's result.
 */
export interface AttachmentRouting {
  table: number;
  addresses: readonly string[];
}

/** What {@link parseRecord} reads again, in the oldest format that can say it. */
export function textOfRecord(record: AttachmentRecord): string {
  const shared = sharedConfigurations(record.attachments);
  return JSON.stringify(
    shared
      ? { ...record, ...shared, formatVersion: newestFormat }
      : { ...record, formatVersion },
  );
}

/** As {@link textOfRecord}. Throws 7 for a record that is too large to be read by everybody in time. */
export function boundedText(record: AttachmentRecord): string {
  const text = textOfRecord(record);
  if (!isLonger(text, maxRecordBytes)) return text;
  throw new CniError(
    Code.invalidNetworkConfig,
    `the configurations of ${record.attachments.length} networks are too large to be recorded: ${bytesOf(text).length} bytes, at most ${maxRecordBytes}`,
  );
}

/** Throws `CorruptRecord`, or 11 for the record of a newer genie, which is left alone. */
export function parseRecord(json: string): AttachmentRecord {
  let value: unknown;
  try {
    value = parseJson(json, recordDepth);
  } catch (cause) {
    throw new CorruptRecord(messageOf(cause), { cause });
  }
  const version = own(value, "formatVersion");
  if (typeof version === "number" && version > newestFormat) {
    throw new CniError(
      Code.tryAgainLater,
      `attachment record has format ${version}, this genie reads up to ${newestFormat}: install the newer one again`,
    );
  }
  if (version === newestFormat && isObject(value))
    value = withConfigurations(value);
  const fault = faultIn(value);
  // The place only: what stands there may be a delegate's secret.
  if (fault !== undefined)
    throw new CorruptRecord(`not understood: → at ${fault}`);
  // oxlint-disable-next-line no-unsafe-type-assertion -- the edge: faultIn found none
  return value as AttachmentRecord;
}

/** The keys of a record of format 2 that differ from format 1. */
interface Shared {
  /** Each configuration once. */
  configurations: NetworkConfigList[];
  /** `list` is an index of `configurations`. */
  attachments: (Omit<Attachment, "list"> & { list: number })[];
}

/** undefined where no two attachments have the same configuration: format 1 can say that. */
export function sharedConfigurations(
  attachments: readonly Attachment[],
): Shared | undefined {
  if (attachments.length < 2) return undefined;
  const configurations: NetworkConfigList[] = [];
  const indexed: Shared["attachments"] = [];
  const same = sameness();
  for (const { list, ...rest } of attachments) {
    const known = configurations.findIndex((other) => same(list, other));
    indexed.push({
      ...rest,
      list: known < 0 ? configurations.push(list) - 1 : known,
    });
  }
  return configurations.length < attachments.length
    ? { configurations, attachments: indexed }
    : undefined;
}

/** Whether two lists say the same; each is printed once at most, and only where the names are equal. */
function sameness() {
  const texts = new Map<NetworkConfigList, string>();
  const textOf = (list: NetworkConfigList): string => {
    const known = texts.get(list) ?? JSON.stringify(list);
    texts.set(list, known);
    return known;
  };
  return (a: NetworkConfigList, b: NetworkConfigList): boolean =>
    a === b || (a.name === b.name && textOf(a) === textOf(b));
}

/**
 * A decoded record with the configurations put back into its attachments, where it
 * is of format 2. Nothing is checked: an index that leads nowhere leaves no list.
 */
export function withConfigurations(record: JsonObject): JsonObject {
  const { configurations, attachments, ...rest } = record;
  if (!Array.isArray(configurations) || !Array.isArray(attachments))
    return record;
  const lists: readonly unknown[] = configurations;
  const whole = attachments.map((attachment: unknown) => {
    if (!isObject(attachment)) return attachment;
    const { list: index, ...others } = attachment;
    return typeof index === "number"
      ? { list: lists[index], ...others }
      : attachment;
  });
  return { ...rest, attachments: whole };
}
