/**
 * `--events`: what happens to the networks of pods, as events (agent.md "Events"): from
 * new records, from failures in calls.log, from the audit, and those of other parts. The
 * plugin itself writes none.
 */
import { addressesOf } from "../../cni/result-query.ts";
import { messageOf } from "../../linux/errno.ts";
import { requestedNetwork } from "../../select/addition.ts";
import type { Attachment } from "../../select/attachment.ts";
import type { AttachmentRecord } from "../../state/record.ts";
import { type Finding, asksForNetworks, auditPods, findings } from "./audit.ts";
import type { CallLine } from "../metrics/call-reader.ts";
import { EventWriter, podSubject, subjectOf } from "./event-writer.ts";
import { namespacedName } from "../kinds.ts";
import type { Agent, Part } from "../part.ts";
import { aborted, pause, repeat, together } from "../timing.ts";
import { recordChanges } from "../record-changes.ts";

/** Milliseconds from round to round. */
const every = {
  /** Events are written. */
  flush: 1000,
  /** calls.log is read. */
  calls: 1000,
  /** calls.log is rotated if it is long. */
  keep: 10_000,
  /** All records are read again, since notifications may be lost. */
  rescan: 60_000,
  /** The pods are audited. */
  audit: 60_000,
  /** The pods are audited again after a new finding, which may pass. */
  confirm: 3000,
};

export const events: Part = {
  name: "events",
  synced: (agent) => agent.pods().state() === "current",
  async run(agent, signal) {
    const { node, api, log } = agent;
    const { now } = agent.context.dependencies;
    const writer = new EventWriter({ node, api, log, now });
    agent.eventSink = (event) => writer.take(event);
    const calls = agent.calls();
    let unsubscribe = () => {};
    try {
      // What was logged before this process is no news.
      calls.keep();
      unsubscribe = calls.subscribe((call) => tellFailure(call, agent));
      await together(
        signal,
        (end) => repeat(every.flush, end, () => writer.flush()),
        (end) => repeat(every.calls, end, () => calls.update()),
        (end) => repeat(every.keep, end, () => calls.keep()),
        (end) => auditAgain(agent, end),
        (end) => followRecords(agent, end),
      );
    } finally {
      unsubscribe();
      agent.eventSink = undefined;
      await writer.flush();
    }
  },
};

/**
 * The event of a failed ADD of a pod that asks for more than the default network. Who
 * changes a running pod tells of it.
 */
function tellFailure(
  { verb, change, code, pod: name = "", error = "" }: CallLine,
  agent: Agent,
): void {
  if (verb !== "ADD" || change || code === 0) return;
  const slash = name.indexOf("/");
  const pod = agent.pods().get(name.slice(slash + 1), name.slice(0, slash));
  if (!pod || !asksForNetworks(pod, agent.context.config)) return;
  agent.event(subjectOf(pod), "Warning", "FailedAddingInterface", error);
}

/** The attachments of a record, as the last look saw them. */
interface Seen {
  pod: { namespace: string; name: string; uid: string };
  /** Interface → the end of the message: `net1 [10.1.1.5/24] from default/storage`. */
  interfaces: ReadonlyMap<string, string>;
  /** A lone default network, of which nothing is told. */
  isLone: boolean;
}

/** Compares records with the last look, when their files change. */
async function followRecords(agent: Agent, signal: AbortSignal): Promise<void> {
  const seen = new Map<string, Seen>();
  let isFirst = true;
  for await (const names of recordChanges(
    agent.context,
    every.rescan,
    signal,
  )) {
    for (const name of names) await compare(name, seen, agent, isFirst);
    isFirst = false;
  }
}

/** `isFirst`: of a record that was there before this process nothing is told. */
async function compare(
  name: string,
  seen: Map<string, Seen>,
  agent: Agent,
  isFirst: boolean,
): Promise<void> {
  const before = seen.get(name);
  let now: Seen | undefined;
  try {
    const record = await agent.context.records.readNamed(name);
    now = record && (await lookAt(record, agent));
  } catch (error) {
    agent.log("debug", "cannot read a record", {
      name,
      error: messageOf(error),
    });
    return;
  }
  if (now) seen.set(name, now);
  else seen.delete(name);
  const pod = now?.pod ?? before?.pod;
  if (!pod || isFirst) return;
  const subject = podSubject(pod);
  if (before && !before.isLone)
    for (const [ifname, what] of before.interfaces)
      if (now?.interfaces.get(ifname) !== what)
        agent.event(subject, "Normal", "RemovedInterface", `Remove ${what}`);
  if (now && !now.isLone)
    for (const [ifname, what] of now.interfaces)
      if (before?.interfaces.get(ifname) !== what)
        agent.event(subject, "Normal", "AddedInterface", `Add ${what}`);
}

async function lookAt(record: AttachmentRecord, agent: Agent): Promise<Seen> {
  const { namespace = "", name = "", uid = "" } = record.pod ?? {};
  // A static pod has another UID for the runtime than in the API.
  const known = agent.pods().get(name, namespace)?.metadata?.uid;
  const pod = { namespace, name, uid: known ?? uid };
  const interfaces = new Map<string, string>();
  const all = record.attachments.filter(({ origin }) => origin !== "auxiliary");
  const [only, another] = all;
  const isLone = !another && (!only || isDefault(only));
  if (!record.pod) return { pod, interfaces, isLone: true };
  const { results } = await agent.context.records.readResults(record);
  for (const attachment of all) {
    const { ifname } = attachment;
    const result = results.get(ifname);
    if (!result) continue;
    const ips = addressesOf(result).join(" ");
    const network = requestedNetwork(attachment);
    interfaces.set(ifname, `${ifname} [${ips}] from ${network}`);
  }
  return { pod, interfaces, isLone };
}

/** In a record before 0.2.0, which has no origins, any network of the node may be the default one. */
function isDefault({ origin, element, definition }: Attachment): boolean {
  const isOther = Boolean(element ?? definition);
  return !isOther && (origin === undefined || origin === "default");
}

const reasons = {
  "past-genie": "AttachedPastGenie",
  "network-missing": "NetworkMissing",
  "other-namespace": "OtherNamespace",
} as const;

/** A finding is told once, when two rounds in a row have it: the API server may be behind. */
async function auditAgain(agent: Agent, signal: AbortSignal): Promise<void> {
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

function tell(finding: Finding, agent: Agent): void {
  const { finding: kind, networks } = finding;
  const missing = networks.length > 0 ? `: ${networks.join(", ")}` : "";
  const message = `${findings[kind]}${missing}`;
  agent.event(podSubject(finding), "Warning", reasons[kind], message);
  agent.log("warn", message, { pod: namespacedName(finding) });
}
