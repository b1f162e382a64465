/** Events of the interfaces that pods get and lose, found by comparing their records. */
import { addressesOf } from "../../cni/result-query.ts";
import { isMeant } from "../../kube/objects.ts";
import { messageOf } from "../../linux/errno.ts";
import { requestedNetwork } from "../../select/addition.ts";
import type { Attachment } from "../../select/attachment.ts";
import type { AttachmentRecord } from "../../state/record.ts";
import type { Agent } from "../part.ts";
import { recordChanges } from "../record-changes.ts";
import { podSubject } from "./event-writer.ts";

/** Milliseconds until all records are read again: notifications may be lost. */
const rescanMs = 60_000;

/** The interfaces in a record at one time. */
interface Snapshot {
  pod: { namespace: string; name: string; uid: string };
  /** Interface → the end of the message: `net1 [10.1.1.5/24] from default/storage`. */
  interfaces: ReadonlyMap<string, string>;
  /** The pod has its default network only, which is worth no event. */
  isLone: boolean;
}

/** Until the signal is aborted. Records from before this process are no news. */
export async function tellInterfaces(
  agent: Agent,
  signal: AbortSignal,
): Promise<void> {
  const snapshots = new Map<string, Snapshot>();
  let isFirst = true;
  for await (const names of recordChanges(agent.context, rescanMs, signal)) {
    for (const name of names) {
      const before = snapshots.get(name);
      try {
        const now = await takeSnapshot(name, agent);
        if (now) snapshots.set(name, now);
        else snapshots.delete(name);
        if (!isFirst) tellDifference(before, now, agent);
      } catch (error) {
        agent.log("debug", "cannot read a record", {
          name,
          error: messageOf(error),
        });
      }
    }
    isFirst = false;
  }
}

function tellDifference(
  before: Snapshot | undefined,
  now: Snapshot | undefined,
  agent: Agent,
): void {
  const { pod } = now ?? before ?? {};
  if (!pod) return;
  const subject = podSubject(pod);
  for (const gone of missingIn(now, before))
    agent.event(subject, "Normal", "RemovedInterface", `Remove ${gone}`);
  for (const added of missingIn(before, now))
    agent.event(subject, "Normal", "AddedInterface", `Add ${added}`);
}

/** The interfaces of `other` that `one` does not have, or has with another text. */
function missingIn(
  one: Snapshot | undefined,
  other: Snapshot | undefined,
): string[] {
  if (!other || other.isLone) return [];
  return [...other.interfaces]
    .filter(([ifname, text]) => one?.interfaces.get(ifname) !== text)
    .map(([, text]) => text);
}

/** undefined without a record of that name and of this boot. Throws for one that cannot be read. */
async function takeSnapshot(
  name: string,
  agent: Agent,
): Promise<Snapshot | undefined> {
  const { records, dependencies } = agent.context;
  const record = await records.readNamed(name);
  if (record?.bootId !== dependencies.bootId()) return undefined;
  const pod = podOf(record, agent);
  const interfaces = new Map<string, string>();
  if (!record.pod) return { pod, interfaces, isLone: true };
  const all = record.attachments.filter(({ origin }) => origin !== "auxiliary");
  const [only, another] = all;
  const isLone = !another && (!only || isDefault(only));
  const { results } = await records.readResults(record);
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

/** A static pod has another UID for the runtime than in the API. */
function podOf({ pod }: AttachmentRecord, agent: Agent): Snapshot["pod"] {
  const { namespace = "", name = "", uid = "" } = pod ?? {};
  const known = agent.pods().get(name, namespace)?.metadata;
  const isSame = isMeant(known?.uid ?? "", known?.annotations ?? {}, uid);
  return { namespace, name, uid: (isSame && known?.uid) || uid };
}

/** In a record before 0.2.0, which has no origins, any network of the node may be the default one. */
function isDefault({ origin, element, definition }: Attachment): boolean {
  const isOther = Boolean(element ?? definition);
  return !isOther && (origin === undefined || origin === "default");
}
