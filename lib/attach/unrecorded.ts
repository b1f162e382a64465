/**
 * DEL of a container that somebody else recorded before genie was installed
 * (state.md "DEL"): never with the API server's help. Few are, so DEL loads this
 * when it meets one.
 */
import type { Deadline } from "../linux/deadline.ts";
import { messageOf } from "../linux/errno.ts";
import { isObject } from "../cni/json.ts";
import { type Result, parseResult } from "../cni/result.ts";
import { formerAttachments } from "../select/former.ts";
import { type Attachment, displayName } from "../select/select.ts";
import { deleteAttachments } from "./delete-attachments.ts";
import { deleteRecord } from "./delete-record.ts";
import type { FormerTraces } from "./former-traces.ts";
import type { Lock } from "./lock.ts";
import { multusAttachments } from "./multus.ts";
import { newRecord, placeOf } from "./new-record.ts";
import { type Context, delegateCaller, readNetworks } from "./context.ts";
import { requestAnnotations } from "./annotations.ts";
import { type CacheEntry, readCacheEntries } from "./runtime-cache.ts";

/**
 * What Multus wrote down is as good as a record, and its DEL as strict. What the
 * runtime's cache says is a best effort: errors are only logged.
 */
export async function deleteFormer(
  context: Context,
  { multusFile, cacheEntries }: FormerTraces,
  lock: Lock,
  deadline: Deadline,
): Promise<void> {
  const adopted =
    multusFile === undefined
      ? undefined
      : multusAttachments(context, multusFile);
  if (adopted) return adopt(context, adopted, lock, deadline);
  const entries = readCacheEntries(context, cacheEntries);
  if (entries.length === 0 && multusFile === undefined) return;
  await deleteCached(context, entries, lock, deadline);
}

/** By a record made of Multus' file, so that a DEL that fails is counted as any other. */
async function adopt(
  context: Context,
  attachments: Attachment[],
  lock: Lock,
  deadline: Deadline,
): Promise<void> {
  const record = newRecord(context, attachments, placeOf(context));
  await deleteRecord(
    context,
    { ...record, adopted: true },
    context.request.netns,
    lock,
    deadline,
    givenResult(context),
  );
}

/** What an entry says exactly, and nothing else; else what the container may have. */
async function deleteCached(
  context: Context,
  entries: readonly CacheEntry[],
  lock: Lock,
  deadline: Deadline,
): Promise<void> {
  const { request, path, log } = context;
  const { containerId, netns, ifname } = request;
  const exact = entries.find(({ attachment }) => attachment);
  const attachments = exact?.attachment
    ? [exact.attachment]
    : possibleAttachments(context);
  const results = exact?.result
    ? new Map([[ifname, exact.result]])
    : givenResult(context);
  const { failures } = await deleteAttachments(
    attachments,
    results,
    { containerId, netns, path },
    deadline,
    delegateCaller(context, lock),
  );
  for (const { attachment, error } of failures) {
    log().warn("failed to delete a network of a container without a record", {
      network: displayName(attachment),
      ifname: attachment.ifname,
      error: error.message,
    });
  }
}

/** The networks that the request's annotations name, and the default network. */
function possibleAttachments(context: Context): Attachment[] {
  const { request, config, log } = context;
  const { ifname, args } = request;
  let annotations = {};
  try {
    annotations = requestAnnotations(context);
  } catch (error) {
    log().debug("no annotations for a container without a record", {
      error: messageOf(error),
    });
  }
  try {
    const networks = readNetworks(context);
    return formerAttachments({ annotations, config, networks, ifname, args });
  } catch (error) {
    log().debug("no network for a container without a record", {
      error: messageOf(error),
    });
    return [];
  }
}

/** The runtime's own memory of what it got for CNI_IFNAME. */
function givenResult({ request }: Context): ReadonlyMap<string, Result> {
  const prevResult = request.config["prevResult"];
  if (!isObject(prevResult)) return new Map();
  try {
    return new Map([
      [request.ifname, parseResult(prevResult, request.cniVersion)],
    ]);
  } catch {
    // DEL must work with an odd prevResult (P-DEL-1).
    return new Map();
  }
}
