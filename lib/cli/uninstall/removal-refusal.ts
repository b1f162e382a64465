/**
 * Whether genie may be removed: not while a pod has more than the network that the
 * runtime uses next can delete, and not while another file executes genie.
 */
import { join } from "node:path";
import type { Context } from "../../attach/context.ts";
import type { ConfFile } from "../../cni/confdir.ts";
import { executesAny } from "../../cni/executable-types.ts";
import { messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import { displayName } from "../../select/attachment.ts";
import { type Candidate, networksOf } from "../../select/node-networks.ts";
import { firstNetwork } from "../../select/default-network.ts";
import { recordDirectory } from "../../state/record-directory.ts";
import { type AttachmentRecord, executedIn } from "../../state/record.ts";
import { formatVersion } from "../../state/record-text.ts";
import { attempt } from "../node/attempt.ts";
import { ownFile, ownType } from "../node/directories.ts";
import type { Host } from "../node/host.ts";
import { type Sandbox, sandboxOf } from "../records/sandbox.ts";

/** The network that the runtime uses after the removal. */
export function nextNetwork(
  confDir: string,
  files: readonly ConfFile[],
): Candidate | undefined {
  const others = files.filter(({ file }) => file !== ownFile);
  return attempt(() => firstNetwork(networksOf(confDir, others, [ownType])));
}

/** Throws Error for a file of another origin that needs our executable. */
export function refuseOthers(
  files: readonly ConfFile[],
  confDir: string,
): void {
  const other = files.find(
    ({ file, list }) =>
      file !== ownFile && list && executesAny(list.plugins, [ownType]),
  );
  if (other === undefined) return;
  throw new Error(
    `${join(confDir, other.file)} executes genie as well: remove it first`,
  );
}

/** Throws Error that lists the pods, one a line. */
export async function refuseHeld(
  context: Context,
  next: Candidate | undefined,
  host: Host,
): Promise<void> {
  const bootId = context.dependencies.bootId();
  const lines: string[] = [];
  for await (const { name, record, error } of recordDirectory(context).all()) {
    if (!record) lines.push(`  record ${quote(name)}: ${messageOf(error)}`);
    else if (!isFreedBy(record, next))
      lines.push(heldText(record, sandboxOf(record, bootId, host)));
  }
  if (lines.length === 0) return;
  const why = next
    ? `network ${quote(next.list.name)} (${next.file}), which the runtime will use next, cannot delete all attachments of these pods`
    : "no other network can delete the attachments of these pods";
  throw new Error(
    [`${why}: delete the pods first, or use --force`, ...lines].join("\n"),
  );
}

/** Whether that network's own DEL frees everything in the record. */
export function isFreedBy(
  record: AttachmentRecord,
  next: Candidate | undefined,
): boolean {
  const [only, ...more] = executedIn(record);
  const { ifname } = record;
  return (
    only !== undefined &&
    more.length === 0 &&
    only.ifname === ifname &&
    only.definition === undefined &&
    only.list.name === next?.list.name
  );
}

function heldText(record: AttachmentRecord, sandbox: Sandbox): string {
  const { pod, containerId } = record;
  const who = pod ? `${pod.namespace}/${pod.name}` : `container ${containerId}`;
  const networks = executedIn(record).map(
    (attachment) => `${attachment.ifname}=${displayName(attachment)}`,
  );
  // Genie 0.1.0 cannot delete it after a roll back.
  const format =
    record.formatVersion > formatVersion
      ? ` (record of format ${record.formatVersion}, which genie 0.1.0 does not read)`
      : "";
  return `  ${who}: ${networks.join(", ")}${hints[sandbox]}${format}`;
}

/** "unknown": in a container, living pods have no visible namespace either. */
const hints: Record<Sandbox, string> = {
  live: "",
  unknown: "",
  gone: " (its namespace is gone: `genie gc`)",
  "earlier boot": " (of an earlier boot: `genie gc`)",
};
