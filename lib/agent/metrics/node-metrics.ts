/**
 * The metrics of the node's present state (agent.md "Metrics"), read anew each time: the
 * records, the abandoned ones, and the addresses that host-local has left.
 */
import type { V1Pod } from "@kubernetes/client-node";
import { type Context, readNetworks } from "../../attach/context.ts";
import type { NetworkConfigList } from "../../cni/conflist.ts";
import type { Attachment } from "../../select/attachment.ts";
import {
  abandonedRecords,
  recordDirectory,
} from "../../state/record-directory.ts";
import { executedIn } from "../../state/record.ts";
import { auditPods, findings } from "../report/audit.ts";
import type { Place } from "../part.ts";
import { freeAddresses } from "./host-local.ts";
import { type Family, Metrics } from "./prometheus.ts";

const attachments = {
  name: "genie_attachments",
  help: "Recorded attachments of this boot.",
  type: "gauge",
  labels: ["network"],
} as const satisfies Family;

const abandoned = {
  name: "genie_abandoned_attachments",
  help: "Attachments that could not be deleted: genie list --abandoned.",
  type: "gauge",
  labels: [],
} as const satisfies Family;

const hostLocalFree = {
  name: "genie_hostlocal_free",
  help: "Addresses that host-local can still assign.",
  type: "gauge",
  labels: ["network"],
} as const satisfies Family;

export const auditFindings = {
  name: "genie_audit_findings",
  help: "Running pods without a network that they ask for: genie audit.",
  type: "gauge",
  labels: ["finding"],
} as const satisfies Family;

export const nodeFamilies: readonly Family[] = [
  attachments,
  abandoned,
  hostLocalFree,
];

/** Adds the audit of the node's pods. */
export async function auditMetrics(
  metrics: Metrics,
  pods: readonly V1Pod[],
  context: Context,
  place: Place,
): Promise<void> {
  for (const kind of Object.keys(findings))
    metrics.set(auditFindings, [kind], 0);
  const audit = await auditPods(pods, context, place);
  for (const { finding } of audit.findings)
    metrics.add(auditFindings, [finding]);
}

export async function nodeMetrics(
  context: Context,
  place: Place,
): Promise<Metrics> {
  const { dependencies } = context;
  const metrics = new Metrics();
  /** By the label; a configuration is the newest one that is seen. */
  const lists = new Map<string, NetworkConfigList>();
  /** The name of people by the `name` of the configuration: `flannel`, not `cbr0`. */
  const keys = new Map<string, string>();
  // Our own file is left out: it has the name of the default network.
  for (const { key, list } of readNetworks(context).candidates) {
    if (keys.has(list.name)) continue;
    keys.set(list.name, key);
    lists.set(key, list);
  }
  const labelOf = ({ definition, requested, list }: Attachment): string =>
    definition ?? keys.get(list.name) ?? requested ?? list.name;
  const bootId = dependencies.bootId();
  for await (const { record } of recordDirectory(context).all()) {
    if (record?.bootId !== bootId) continue;
    for (const attachment of record.attachments) {
      metrics.add(attachments, [labelOf(attachment)]);
      if (attachment.definition !== undefined)
        lists.set(labelOf(attachment), attachment.list);
    }
  }
  metrics.add(abandoned, [], 0);
  for await (const { record } of abandonedRecords(context).all())
    metrics.add(abandoned, [], record ? executedIn(record).length : 1);
  for (const [label, list] of lists) {
    const free = freeIfKnown(list, place);
    if (free !== undefined) metrics.set(hostLocalFree, [label], free);
  }
  return metrics;
}

/** `dataDir` may be any text, also of a definition: one network must not cost the others. */
function freeIfKnown(
  list: NetworkConfigList,
  place: Place,
): number | undefined {
  try {
    return freeAddresses(list, place);
  } catch {
    return undefined;
  }
}
