/**
 * DEL of a container that we have no record of (state.md "DEL"): a best effort,
 * never with the API server's help. Few are; so DEL loads this when it meets one.
 */
import type { Deadline } from "../cni/deadline.ts";
import { messageOf } from "../cni/error.ts";
import { isObject } from "../cni/json.ts";
import { throwJoined } from "../cni/network.ts";
import { type Result, parseResult } from "../cni/result.ts";
import { formerAttachments } from "../select/former.ts";
import { type Attachment, displayName } from "../select/select.ts";
import { type Outcome, deleteAttachments } from "./delegates.ts";
import type { Lock } from "./lock.ts";
import { multusAttachments, removeMultusFile } from "./multus.ts";
import { readNetworks } from "./networks.ts";
import { type Operation, callerOf, ofNetwork } from "./operation.ts";
import { givenAnnotations } from "./pod.ts";

/**
 * A container that we have no record of was attached before we were installed,
 * or never. What Multus wrote down is as good as a record; else it is a guess.
 */
export async function deleteForeign(
  operation: Operation,
  lock: Lock,
  deadline: Deadline,
): Promise<void> {
  const attachments = multusAttachments(operation);
  if (!attachments) return deleteUnrecorded(operation, lock, deadline);
  const outcome = await deleteNow(operation, attachments, lock, deadline);
  throwJoined(
    outcome.errors.map(({ attachment, error }) =>
      ofNetwork(error, operation.pod, displayName(attachment)),
    ),
  );
  removeMultusFile(operation);
}

/** What the container may have is deleted; nothing here can fail. */
async function deleteUnrecorded(
  operation: Operation,
  lock: Lock,
  deadline: Deadline,
): Promise<void> {
  const { request, log } = operation;
  const attachments = formerOf(operation);
  const outcome = await deleteNow(operation, attachments, lock, deadline);
  for (const { attachment, error } of outcome.errors) {
    log.warn("failed to delete a network of a container without a record", {
      containerId: request.containerId,
      network: displayName(attachment),
      ifname: attachment.ifname,
      error: error.message,
    });
  }
}

/** With what the request says and nothing else, since there is no record. */
function deleteNow(
  operation: Operation,
  attachments: readonly Attachment[],
  lock: Lock,
  deadline: Deadline,
): Promise<Outcome> {
  const { request, path } = operation;
  const { containerId, netns } = request;
  return deleteAttachments(
    attachments,
    givenResult(operation),
    { containerId, netns, path },
    deadline,
    callerOf(operation, lock),
  );
}

function formerOf(operation: Operation): Attachment[] {
  const { request, config, log } = operation;
  const { ifname, args } = request;
  try {
    const annotations = givenAnnotations(config) ?? {};
    const networks = readNetworks(operation);
    return formerAttachments({ annotations, config, networks, ifname, args });
  } catch (error) {
    log.debug("no network for a container without a record", {
      error: messageOf(error),
    });
    return [];
  }
}

/** The runtime's own memory of what it got for CNI_IFNAME. */
function givenResult({ request }: Operation): ReadonlyMap<string, Result> {
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
