/**
 * The text of an attachment record on the disk, in the formats that genie reads and writes
 * (state.md "The record"): it begins with its own length, so that a record as it was
 * written needs no schema. `records` has the files.
 */
import type { NetworkConfigList } from "../cni/conflist.ts";
import { CniError, Code, invalidConfig } from "../cni/error.ts";
import {
  type JsonObject,
  isObject,
  maxDepth,
  own,
  parseJson,
} from "../cni/json.ts";
import { messageOf } from "../linux/errno.ts";
import { bytesOf, isLonger } from "../linux/text.ts";
import type { Attachment } from "../select/attachment.ts";
import type { AttachmentRecord } from "./record-schema.ts";
import { CorruptRecord } from "./record.ts";

/** The format that every genie reads; see {@link newestFormat}. */
export const formatVersion = 1;

/**
 * For attachments that share configurations and for an auxiliary chain, which format 1
 * cannot express. 0.1.0 refuses it with 11.
 */
export const newestFormat = 2;

/** Limit of an ADD's record in bytes (state.md "What ADD writes, DEL reads"). */
const maxRecordBytes = 4 << 20;

/**
 * Requests are nested deeper in a record than in an ADD; and 0.1.0, whose records must be
 * read, accepted a hundred times as many levels.
 */
const recordDepth = 100 * maxDepth + 100;

/** The text of a record for {@link parseRecord}, in the oldest format that can express it. */
export function textOfRecord(record: AttachmentRecord): string {
  const { attachments } = record;
  const shared =
    attachments.length > 1 ? sharedConfigurations(attachments) : undefined;
  return withLength(
    JSON.stringify(
      shared || record.auxiliary
        ? { ...record, ...shared, formatVersion: newestFormat }
        : { ...record, formatVersion },
    ),
  );
}

/** {@link textOfRecord}. Throws 7 for a record that is too large for all its readers to read it in time. */
export function boundedText(record: AttachmentRecord): string {
  const text = textOfRecord(record);
  if (!isLonger(text, maxRecordBytes)) return text;
  throw invalidConfig(
    `the configurations of ${record.attachments.length} networks are too large to be recorded: ${bytesOf(text).length} bytes, at most ${maxRecordBytes}`,
  );
}

const lengthKey = '{"length":';

/** The text of an object, which states first how many UTF-16 units follow. */
export function withLength(json: string): string {
  return `${lengthKey}${json.length - 1},${json.slice(1)}`;
}

/**
 * The text that {@link withLength} was given; undefined for a text that is not as long as
 * it states, or states nothing.
 */
export function withoutLength(text: string): string | undefined {
  if (!text.startsWith(lengthKey)) return undefined;
  const comma = text.indexOf(",");
  const stated = text.slice(lengthKey.length, comma);
  return stated === String(text.length - comma - 1)
    ? `{${text.slice(comma + 1)}`
    : undefined;
}

/**
 * The value of a file of records or results, and whether the text is as {@link withLength}
 * wrote it: then no schema is needed. Throws JsonError.
 */
export function decodeWithLength(text: string): {
  value: unknown;
  isAsWritten: boolean;
} {
  const written = withoutLength(text);
  return {
    value: parseJson(written ?? text, recordDepth),
    isAsWritten: written !== undefined,
  };
}

/**
 * A text of the stated length is trusted; any other, of an earlier genie or damaged, is
 * validated by the schema. Throws `CorruptRecord`, or 11 for the record of a newer genie,
 * which is left alone.
 */
export async function parseRecord(text: string): Promise<AttachmentRecord> {
  let value: unknown;
  let isAsWritten: boolean;
  try {
    ({ value, isAsWritten } = decodeWithLength(text));
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
  if (isAsWritten && isRecord(value)) return value;
  const { validateRecord } = await import("./record-schema.ts");
  return validateRecord(value, (problem) => new CorruptRecord(problem));
}

/**
 * Whether the keys that calls use have their types: a changed byte leaves the length as it
 * is. Records with failures are left to the schema.
 */
function isRecord(value: unknown): value is AttachmentRecord {
  const [attachments, path] = [own(value, "attachments"), own(value, "path")];
  const [auxiliary, pod] = [own(value, "auxiliary"), own(value, "pod")];
  return (
    hasTexts(value, recordTexts) &&
    typeof own(value, "formatVersion") === "number" &&
    typeof own(value, "uptimeMs") === "number" &&
    (pod === undefined || hasTexts(pod, ["namespace", "name", "uid"])) &&
    Array.isArray(path) &&
    isEach(path, isText) &&
    Array.isArray(attachments) &&
    isEach(attachments, isAttachment) &&
    (auxiliary === undefined || isAttachment(auxiliary)) &&
    own(value, "failures") === undefined &&
    own(value, "abandoned") === undefined
  );
}

const recordTexts = [
  "containerId",
  "ifname",
  "netns",
  "network",
  "time",
  "bootId",
] as const satisfies (keyof AttachmentRecord)[];

function isAttachment(value: unknown): boolean {
  const list = own(value, "list");
  const plugins = own(list, "plugins");
  return (
    hasTexts(list, ["name", "cniVersion"]) &&
    hasTexts(value, ["ifname", "args"]) &&
    isObject(own(value, "capabilityArgs")) &&
    Array.isArray(plugins) &&
    isEach(plugins, (plugin) => isText(own(plugin, "type")))
  );
}

/** A loop, because `every` is JavaScript that each call compiles (docs/performance.md). */
function isEach<T>(values: readonly T[], test: (value: T) => boolean): boolean {
  for (const value of values) if (!test(value)) return false;
  return true;
}

function hasTexts(value: unknown, keys: readonly string[]): boolean {
  return isEach(keys, (key) => isText(own(value, key)));
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

/** The keys of a record of format 2 that differ from format 1. */
interface SharedConfigurations {
  /** Each configuration once: a definition that a pod names 31 times would otherwise be 31 times in its record. */
  configurations: NetworkConfigList[];
  /** `list` is an index of `configurations`. */
  attachments: (Omit<Attachment, "list"> & { list: number })[];
}

/** undefined if no two attachments share a configuration: format 1 is enough. */
function sharedConfigurations(
  attachments: readonly Attachment[],
): SharedConfigurations | undefined {
  const configurations: NetworkConfigList[] = [];
  const indexed: SharedConfigurations["attachments"] = [];
  // Each list is printed once at most, and only where names are equal.
  const texts = new Map<NetworkConfigList, string>();
  const textOf = (list: NetworkConfigList): string => {
    const known = texts.get(list) ?? JSON.stringify(list);
    texts.set(list, known);
    return known;
  };
  for (const { list, ...rest } of attachments) {
    let index = 0;
    for (const other of configurations) {
      if (other === list) break;
      if (other.name === list.name && textOf(other) === textOf(list)) break;
      index++;
    }
    if (index === configurations.length) configurations.push(list);
    indexed.push({ ...rest, list: index });
  }
  return configurations.length < attachments.length
    ? { configurations, attachments: indexed }
    : undefined;
}

/**
 * A decoded record of format 2 with the configurations put back into its attachments.
 * Nothing is checked: an index that leads nowhere leaves no list.
 */
function withConfigurations(record: JsonObject): JsonObject {
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
