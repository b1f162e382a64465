/**
 * The text of a record's file of results (state.md "The record"): results, tables of moved
 * default routes, and the pod's status that is due. `records` has the file.
 */
import { isObject, own } from "../cni/json.ts";
import { type Result, parseResult, resumeResult } from "../cni/result.ts";
import { latestVersion } from "../cni/version.ts";
import type { ResultEntry } from "./record-schema.ts";
import {
  type AttachmentRecord,
  type AttachmentRouting,
  executedIn,
  resultKey,
} from "./record.ts";
import { decodeWithLength, formatVersion, withLength } from "./record-text.ts";

export interface StoredResults {
  /** The valid results by `resultKey`. */
  results: ReadonlyMap<string, Result>;
  /** The tables of default routes that were moved, by interface. */
  routing: ReadonlyMap<string, AttachmentRouting>;
  /**
   * Whether ADD completed the attachment of a `resultKey`, as far as is known: it has a
   * result. A file that is there but cannot be read counts for all (state.md "DEL").
   */
  hasCompleted(key: string): boolean;
}

/** A pod's status that is still to be written: annotations of selection.md §7, null to remove one. */
export interface DueStatus {
  /** Changes with each status. */
  id: string;
  annotations: Readonly<Record<string, string | null>>;
}

/** The text for {@link parseResultFile}; results by `resultKey`. */
export function textOfResults(
  record: AttachmentRecord,
  results: ReadonlyMap<string, Result>,
  routing?: ReadonlyMap<string, AttachmentRouting>,
  status?: DueStatus,
): string {
  const entries: object[] = [];
  for (const attachment of executedIn(record)) {
    const ifname = resultKey(attachment);
    const made = routing?.get(ifname);
    const result = results.get(ifname) ?? null;
    entries.push({ ifname, result, ...(made && { routing: made }) });
  }
  return withLength(
    JSON.stringify({ formatVersion, results: entries, status }),
  );
}

/** Entries of a file that is not as genie wrote it must be validated. */
export type ResultFile =
  | { isAsWritten: true; entries: readonly ResultEntry[] }
  | { isAsWritten: false; entries: readonly unknown[] };

/** The results of a missing file. */
export const noResults: ResultFile = { isAsWritten: true, entries: [] };

/** undefined for an unreadable text. Throws JsonError. */
export function parseResultFile(text: string): ResultFile | undefined {
  const { value, isAsWritten } = decodeWithLength(text);
  const entries = own(value, "results");
  if (!Array.isArray(entries)) return undefined;
  return isAsWritten && areEntries(entries)
    ? { isAsWritten: true, entries }
    : { isAsWritten: false, entries };
}

function areEntries(values: readonly unknown[]): values is ResultEntry[] {
  for (const value of values)
    if (typeof own(value, "ifname") !== "string") return false;
  return true;
}

/**
 * A file of the stated length is trusted; of any other, the entries that the schema
 * accepts. undefined: the file is unreadable.
 */
export async function storedResults(
  { adopted }: AttachmentRecord,
  file: ResultFile | undefined,
): Promise<StoredResults> {
  const results = new Map<string, Result>();
  const routing = new Map<string, AttachmentRouting>();
  let entries: readonly ResultEntry[] = [];
  if (file?.isAsWritten) entries = file.entries;
  else if (file)
    entries = (await import("./record-schema.ts")).validEntries(file.entries);
  for (const { ifname, result, routing: made } of entries) {
    if (made) routing.set(ifname, made);
    if (!isObject(result)) continue;
    try {
      const known = file?.isAsWritten ? resumeResult(result) : undefined;
      results.set(ifname, known ?? parseResult(result, latestVersion));
    } catch {
      // An invalid result.
    }
  }
  // Multus wrote its file when its ADD had completed.
  const isUnknown = adopted === true || !file;
  const hasCompleted = (key: string): boolean =>
    isUnknown ||
    entries.some((one) => one.ifname === key && one.result !== null);
  return { results, routing, hasCompleted };
}
