/**
 * Events of what the audit finds, pods without a network that they ask for (agent.md
 * "Audit"), and of pods whose annotations ask for nothing because a key is misspelt.
 */
import type { V1Pod } from "@kubernetes/client-node";
import { misspeltAnnotations } from "../../select/misspelt-annotations.ts";
import { joined } from "../../select/problem-list.ts";
import { namespacedName } from "../watch/kinds.ts";
import type { Agent, AgentEvent } from "../part.ts";
import { isRunning } from "../pods/desired.ts";
import { aborted, pause } from "../timing.ts";
import { type Finding, auditPods, findings } from "./audit.ts";
import { podSubject, subjectOf } from "./event-writer.ts";

/** Milliseconds from audit to audit. */
const every = {
  audit: 60_000,
  /** After a new finding. */
  confirm: 3000,
};

/**
 * Until the signal is aborted. A finding is told once, by the second of two audits in a row
 * that have it: the pods that are known may be older than the records.
 */
export async function tellFindings(
  agent: Agent,
  signal: AbortSignal,
): Promise<void> {
  let before = new Map<string, "new" | "told">();
  await Promise.race([agent.pods().listed, aborted(signal)]);
  while (!signal.aborted) {
    const pods = agent.pods().list();
    const audit = await auditPods(pods, agent.context, agent.place);
    const now = new Map<string, "new" | "told">();
    const events = [
      ...audit.findings.map(eventOf),
      ...pods.flatMap((pod) => misspeltEvent(pod) ?? []),
    ];
    for (const event of events) {
      const key = JSON.stringify(event);
      const known = before.get(key);
      now.set(key, known ? "told" : "new");
      if (known === "new") tell(event, agent);
    }
    before = now;
    const isNew = [...now.values()].includes("new");
    await pause(isNew ? every.confirm : every.audit, signal);
  }
}

/** Bytes; an event has at most 1024. */
const longestMessage = 1000;

const reasons = {
  "past-genie": "AttachedPastGenie",
  "network-missing": "NetworkMissing",
  "other-namespace": "OtherNamespace",
} as const;

/** A warning of a pod. */
type PodWarning = Pick<AgentEvent, "subject" | "reason" | "message">;

function eventOf(finding: Finding): PodWarning {
  const { finding: kind, networks } = finding;
  const missing = networks.length > 0 ? `: ${networks.join(", ")}` : "";
  const message = `${findings[kind]}${missing}`;
  return { subject: podSubject(finding), reason: reasons[kind], message };
}

/** One for all annotations of a pod; its author decides how many there are. */
function misspeltEvent(pod: V1Pod): PodWarning | undefined {
  const faults = misspeltAnnotations(pod.metadata?.annotations ?? {});
  if (faults.length === 0 || !isRunning(pod)) return undefined;
  const message = joined(faults, longestMessage);
  return { subject: subjectOf(pod), reason: "MisspeltAnnotation", message };
}

function tell({ subject, reason, message }: PodWarning, agent: Agent): void {
  agent.event(subject, "Warning", reason, message);
  agent.log("warn", message, { pod: namespacedName(subject) });
}
