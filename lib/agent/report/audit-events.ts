/** Events of what the audit finds: pods without a network that they ask for (agent.md "Audit"). */
import { namespacedName } from "../kinds.ts";
import type { Agent } from "../part.ts";
import { aborted, pause } from "../timing.ts";
import { type Finding, auditPods, findings } from "./audit.ts";
import { podSubject } from "./event-writer.ts";

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
    for (const finding of audit.findings) {
      const key = JSON.stringify(finding);
      const known = before.get(key);
      now.set(key, known ? "told" : "new");
      if (known === "new") tell(finding, agent);
    }
    before = now;
    const isNew = [...now.values()].includes("new");
    await pause(isNew ? every.confirm : every.audit, signal);
  }
}

const reasons = {
  "past-genie": "AttachedPastGenie",
  "network-missing": "NetworkMissing",
  "other-namespace": "OtherNamespace",
} as const;

function tell(finding: Finding, agent: Agent): void {
  const { finding: kind, networks } = finding;
  const missing = networks.length > 0 ? `: ${networks.join(", ")}` : "";
  const message = `${findings[kind]}${missing}`;
  agent.event(podSubject(finding), "Warning", reasons[kind], message);
  agent.log("warn", message, { pod: namespacedName(finding) });
}
