/**
 * DEL of a container that genie has no record of, and that the runtime attached before genie
 * was installed (state.md "DEL"): by an entry in the cache of libcni, without the API
 * server. Few containers are, so DEL loads this when it meets one.
 */
import type { Deadline } from "../../linux/deadline.ts";
import { messageOf } from "../../linux/errno.ts";
import { type Attachment, displayName } from "../../select/attachment.ts";
import type { Lock } from "../../state/lock.ts";
import { requestAnnotations } from "../choice/pod-annotations.ts";
import { type Context, readNetworks } from "../context.ts";
import { delegateCaller } from "../delegates.ts";
import { deleteAttachments } from "../delete-attachments.ts";
import type { ForeignRecords } from "./foreign-records.ts";
import { readCacheEntries, givenResult } from "./runtime-cache.ts";
import { formerAttachments } from "./former-networks.ts";

/**
 * Deletes exactly the list that an entry of the cache names, else the networks that the
 * container may have. Errors are only logged.
 */
export async function deleteBestEffort(
  context: Context,
  { multusFile, cacheEntries }: ForeignRecords,
  lock: Lock | undefined,
  deadline: Deadline,
): Promise<void> {
  const { request, path, log } = context;
  const { containerId, netns, ifname } = request;
  const entries = readCacheEntries(context, cacheEntries);
  if (entries.length === 0 && multusFile === undefined) return;
  const exact = entries.find(({ attachment }) => attachment);
  const { failures } = await deleteAttachments(
    exact?.attachment ? [exact.attachment] : possibleAttachments(context),
    exact?.result ? new Map([[ifname, exact.result]]) : givenResult(context),
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
  const { request, config } = context;
  const { ifname, args } = request;
  const attempt = <T>(what: string, work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      context.log().debug(`no ${what} for a container without a record`, {
        error: messageOf(error),
      });
      return undefined;
    }
  };
  const annotations =
    attempt("annotations", () => requestAnnotations(context)) ?? {};
  const former = attempt("network", () => {
    const networks = readNetworks(context);
    return formerAttachments({ annotations, config, networks, ifname, args });
  });
  return former ?? [];
}
