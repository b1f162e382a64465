/**
 * Containers that Multus attached before genie was installed, by the files that Multus keeps
 * of them. For DEL, such a file becomes a record of ours (state.md "DEL"); for GC, it names
 * the interfaces that the runtime does not list (cni-plugin.md P-GC-4).
 */
import * as v from "valibot";
import { parseAnyConf } from "../../cni/conflist.ts";
import { CniError, Code } from "../../cni/error.ts";
import { ifnameProblem, isIdentifier } from "../../cni/identifiers.ts";
import { type JsonObject, own, ownText, parseJson } from "../../cni/json.ts";
import type { ValidAttachment } from "../../cni/network-upkeep.ts";
import type { Result } from "../../cni/result.ts";
import { object, parse } from "../../cni/schema.ts";
import { messageOf } from "../../linux/errno.ts";
import { linkStatusIfAny, removeFile } from "../../linux/files.ts";
import { readOwnFileIfAny } from "../../linux/own-files.ts";
import { quote } from "../../linux/text.ts";
import type { Attachment } from "../../select/attachment.ts";
import type { AttachmentRecord } from "../../state/record.ts";
import type { Context } from "../context.ts";
import { newRecord } from "../new-record.ts";
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
 * The record of that file. Its DEL follows the rules of our own records, and failures are
 * counted. undefined if the file is missing or unreadable; the latter is logged.
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
 * `uptimeMs` of the record: its file is as old as the pod. If failures cannot be counted, the
 * record's age decides. A clock that was set back makes the record older, not newer.
 */
function writtenSince(path: string, { dependencies }: Context): number {
  const nowMs = dependencies.now().getTime();
  const writtenMs = linkStatusIfAny(path)?.modifiedMs ?? nowMs;
  return Math.max(0, dependencies.uptimeMs() - Math.abs(nowMs - writtenMs));
}

/** Removes the file of an adopted record, when no later DEL needs it. */
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

export interface MultusAttachment {
  network: string;
  pair: ValidAttachment;
}

/**
 * The interfaces of valid containers beside CNI_IFNAME. Without them in the list of a GC, a
 * plugin would free their addresses. Throws 5 for a file that is only partly readable: the
 * list would be incomplete.
 */
export function attachmentsOfMultus(
  context: Context,
  valid: readonly ValidAttachment[],
): MultusAttachment[] {
  return valid.flatMap(({ containerID, ifname: cniIfname }) => {
    const path = multusPath(context, containerID);
    if (path === undefined || !isIdentifier(containerID)) return [];
    const request = { ...context.request, ifname: cniIfname };
    const refuse = (problems: string) => {
      throw new Error(problems);
    };
    try {
      const forContainer = { ...context, request };
      const attachments = multusAttachments(path, forContainer, refuse);
      return (attachments ?? [])
        .filter(({ ifname }) => ifname !== cniIfname)
        .map(({ list, ifname }) => ({
          network: list.name,
          pair: { containerID, ifname },
        }));
    } catch (cause) {
      throw new CniError(
        Code.io,
        `refusing GC of networks: unreadable file of Multus ${quote(path)}: ${messageOf(cause)}`,
        { cause },
      );
    }
  });
}
