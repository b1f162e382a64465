/**
 * DEL of a container that Multus attached before genie was installed (state.md "DEL"): the
 * file that Multus keeps of it becomes a record of ours.
 */
import * as v from "valibot";
import { ifnameProblem } from "../../cni/identifiers.ts";
import { parseAnyConf } from "../../cni/conflist.ts";
import { type JsonObject, own, ownText, parseJson } from "../../cni/json.ts";
import type { Result } from "../../cni/result.ts";
import { object, parse } from "../../cni/schema.ts";
import { messageOf } from "../../linux/errno.ts";
import { linkStatusIfAny, removeFile } from "../../linux/files.ts";
import { readOwnFileIfAny } from "../../linux/own-files.ts";
import type { Attachment } from "../../select/attachment.ts";
import type { AttachmentRecord } from "../../state/record.ts";
import { newRecord } from "../add-attachments.ts";
import type { Context } from "../context.ts";
import { multusPath } from "./foreign-records.ts";
import {
  decodedObject,
  givenResult,
  maxForeignBytes,
} from "./runtime-cache.ts";

/** A record made of a file of Multus, with the runtime's own result. */
export interface AdoptedRecord {
  record: AttachmentRecord;
  results: ReadonlyMap<string, Result>;
}

/**
 * The record of that file: its DEL is as strict as that of our own records, so a failure is
 * counted as any other. undefined when the file is missing, or cannot be understood, which
 * is logged.
 */
export function multusRecord(
  context: Context,
  path: string,
): AdoptedRecord | undefined {
  try {
    const attachments = multusAttachments(path, context, (error) =>
      context.log().error("failed to read delegates of Multus", { error }),
    );
    if (!attachments) return undefined;
    const record = {
      ...newRecord(context, attachments),
      uptimeMs: writtenSince(path, context),
      adopted: true,
    };
    return { record, results: givenResult(context) };
  } catch (error) {
    context.log().error("failed to read a file of Multus", {
      path,
      error: messageOf(error),
    });
    return undefined;
  }
}

/**
 * `uptimeMs` of the file, which is as old as its pod: the record's age decides where
 * failures cannot be counted. Also if the clock was set back since.
 */
function writtenSince(path: string, { dependencies }: Context): number {
  const nowMs = dependencies.now().getTime();
  const writtenMs = linkStatusIfAny(path)?.modifiedMs ?? nowMs;
  return Math.max(0, dependencies.uptimeMs() - Math.abs(nowMs - writtenMs));
}

/** Removes the file that the record was made of, when nothing of the record is left to the runtime. */
export function removeMultusFile(
  context: Context,
  { containerId }: AttachmentRecord,
): void {
  const path = multusPath(context, containerId);
  if (path === undefined) return;
  try {
    removeFile(path);
  } catch (error) {
    // The next DEL repeats it and finds everything deleted.
    context.log().error("failed to remove a file of Multus", {
      path,
      error: messageOf(error),
    });
  }
}

/**
 * The attachments in Multus' order; undefined without the file. The format is that of its
 * `saveDelegates`: `<cniDir>/<containerID>`, a JSON array of delegates, the first being the
 * default network. Throws Error when none is understood; calls `skipped` with the problems
 * of some.
 */
export function multusAttachments(
  path: string,
  { request, config }: Context,
  skipped: (problems: string) => void,
): Attachment[] | undefined {
  const text = readOwnFileIfAny(path, maxForeignBytes);
  if (text === undefined) return undefined;
  const delegates = parse(v.array(v.unknown()), parseJson(text), Error);
  const problems: string[] = [];
  const attachments = delegates.flatMap((delegate, i) => {
    try {
      const list = parseAnyConf(delegateConf(delegate), own(delegate, "Name"));
      const ifname = delegateIfname(delegate, i, request.ifname);
      const capabilityArgs = i === 0 ? config.runtimeConfig : {};
      return [{ list, ifname, args: request.args, capabilityArgs }];
    } catch (error) {
      problems.push(`delegate ${i}: ${messageOf(error)}`);
      return [];
    }
  });
  const error = problems.join(", ");
  if (attachments.length === 0 && error !== "") throw new Error(error);
  if (error !== "") skipped(error);
  return attachments;
}

const encoded = object({ Bytes: v.string() });
const encodedList = object({ Bytes: v.string(), Plugins: v.array(encoded) });

/**
 * In a delegate's own `Bytes` a list that Multus read by its path has only the keys that
 * Go knows: no subnet, no bridge.
 */
function delegateConf(delegate: unknown): JsonObject {
  const list = own(delegate, "CNINetworkConfigList");
  const given = own(list, "Plugins");
  if (!Array.isArray(given) || given.length === 0)
    return decodedObject(parse(encoded, delegate, Error).Bytes);
  const { Bytes, Plugins } = parse(encodedList, list, Error);
  const plugins = Plugins.map((plugin) => decodedObject(plugin.Bytes));
  return { ...decodedObject(Bytes), plugins };
}

/**
 * The default network has the runtime's interface, the others the requested one or
 * one by position.
 */
function delegateIfname(
  delegate: unknown,
  i: number,
  cniIfname: string,
): string {
  const requested = ownText(delegate, "ifnameRequest");
  if (requested !== undefined && !ifnameProblem(requested)) return requested;
  return i === 0 ? cniIfname : `net${i}`;
}
