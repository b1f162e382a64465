/**
 * The common parts of changes of a running pod's networks: time limits, outcomes, and the
 * pod's status of a recorded attachment (agent.md).
 */
import { invalidConfig } from "../../cni/error.ts";
import { addressesOf } from "../../cni/result-query.ts";
import type { Result } from "../../cni/result.ts";
import { Deadline } from "../../linux/deadline.ts";
import { quote } from "../../linux/text.ts";
import { requestedNetwork } from "../../select/addition.ts";
import type { Attachment, Extras } from "../../select/attachment.ts";
import type { Context } from "../context.ts";
import { type RunningPod, recordedDevice } from "./running-pod.ts";

/**
 * Milliseconds from the start of a call; the status patch follows. A change ends within
 * 40 s, because a DEL waits 50 s for the lock.
 */
const limits = { attach: 25_000, rollback: 36_000, detach: 36_000 };

export function changeDeadline(
  { dependencies }: Context,
  phase: keyof typeof limits,
): Deadline {
  return new Deadline(limits[phase], dependencies.clock);
}

/** The time limits of an ADD and of its rollback. */
export function addDeadlines(node: Context): AddDeadlines {
  return {
    forward: changeDeadline(node, "attach"),
    rollback: changeDeadline(node, "rollback"),
  };
}

export interface AddDeadlines {
  forward: Deadline;
  rollback: Deadline;
}

export interface Change {
  /** "present" and "absent": there was nothing to do. */
  outcome: "attached" | "present" | "detached" | "absent" | "repaired";
  pod?: { namespace: string; name: string };
  containerId: string;
  ifname: string;
  /** The requested name; absent for an interface that the pod does not have. */
  network?: string;
  /** Addresses with prefix length. */
  ips?: string[];
}

/** An attachment of the record, with the parts of its status that are not in the result. */
export function withStatusExtras(attachment: Attachment): Attachment {
  const extras = { ...statusExtras(attachment), ...attachment.extras };
  const device = recordedDevice(attachment);
  return { ...attachment, ...(device && { device }), extras };
}

function statusExtras({ element }: Attachment): Extras {
  const defaultRoute = element?.requests?.["defaultRoute"];
  const isTexts = (value: unknown): value is string[] =>
    Array.isArray(value) && value.every((text) => typeof text === "string");
  return isTexts(defaultRoute) ? { defaultRoute } : {};
}

/**
 * The attachment of an interface; undefined if there is none. Throws 7 for the primary,
 * which is never changed.
 */
export function changeable(
  { record }: RunningPod,
  ifname: string,
  change: "detached" | "repaired",
): Attachment | undefined {
  if (ifname === record.ifname)
    throw invalidConfig(
      `interface ${quote(ifname)} is the pod's primary, which cannot be ${change}`,
    );
  return record.attachments.find((one) => one.ifname === ifname);
}

/** A change that found no such interface. */
export function absent(pod: RunningPod, ifname: string): Change {
  const { containerId } = pod.record;
  return { outcome: "absent", ...changedPod(pod), containerId, ifname };
}

function changedPod({ record: { pod } }: RunningPod): Pick<Change, "pod"> {
  if (!pod) return {};
  const { namespace, name } = pod;
  return { pod: { namespace, name } };
}

export function changeOf(
  outcome: Change["outcome"],
  pod: RunningPod,
  attachment: Attachment,
  result: Result | undefined,
): Change {
  const { containerId } = pod.record;
  const { ifname } = attachment;
  const network = requestedNetwork(attachment);
  const ips = result ? addressesOf(result) : [];
  return { outcome, ...changedPod(pod), containerId, ifname, network, ips };
}
