/**
 * `genie list`: the attachments of this node, from the records.
 */
import { isNamespace } from "../linux/netns.ts";
import type { Context } from "../attach/context.ts";
import type { AttachmentRecord } from "../attach/record.ts";
import { messageOf } from "../linux/errno.ts";
import type { Result } from "../cni/result.ts";
import { displayName } from "../select/attachment.ts";
import {
  abandonedOnNode,
  abandonedTable,
  addressesOf,
  attachmentCells,
  attachmentHead,
} from "./abandoned.ts";
import { age, columns } from "./terminal.ts";
import type { Command } from "./command.ts";
import {
  directoryOptions,
  directoriesOf,
  hostOf,
  rootOption,
  nodeContext,
} from "./node.ts";
import { type Host, isSeen } from "./host.ts";

export const list: Command = {
  about: `Reads the attachment records of this node only, not the API server or the runtime. SANDBOX is the
state of the network namespace: live, gone, earlier boot, or unknown if this is not the mount
namespace of the container runtime.`,
  options: {
    namespace: {
      value: "NS",
      short: "n",
      about: "only pods of this namespace",
    },
    output: {
      value: "FORMAT",
      short: "o",
      choices: ["table", "wide", "json"],
      about: "table, wide (adds the CNI names) or json (default table)",
    },
    abandoned: {
      about: "list attachments that could not be deleted instead",
    },
    ...directoryOptions,
    ...rootOption,
  },
  async run(input, { env, stdout, stderr, now }) {
    const host = hostOf(input);
    const context = nodeContext(directoriesOf(input), env, { host });
    const format = input.text("output");
    const namespace = input.text("namespace");
    const isWanted = ({ pod }: { pod?: { namespace: string } }): boolean =>
      namespace === undefined || pod?.namespace === namespace;
    const print = <T>(
      rows: readonly T[],
      table: (rows: readonly T[]) => string,
    ) =>
      stdout(
        format === "json" ? `${JSON.stringify(rows, null, 2)}\n` : table(rows),
      );
    let unreadable: string[];
    if (input.flag("abandoned")) {
      const found = await abandonedOnNode(context);
      ({ unreadable } = found);
      await print(found.attachments.filter(isWanted), (rows) =>
        abandonedTable(rows, now()),
      );
    } else {
      const found = await listAttachments(context, host);
      ({ unreadable } = found);
      await print(found.attachments.filter(isWanted), (rows) =>
        tableOf(rows, now(), format === "wide"),
      );
    }
    for (const problem of unreadable) stderr(`genie list: ${problem}\n`);
    return unreadable.length === 0 ? 0 : 1;
  },
};

/**
 * "gone": the namespace does not exist; "earlier boot": it cannot exist any more;
 * "unknown": not visible from here.
 */
export type Sandbox = "live" | "gone" | "earlier boot" | "unknown";

export interface ListedAttachment {
  containerId: string;
  pod?: { namespace: string; name: string; uid: string };
  ifname: string;
  /** The name in the annotation, or the file key. */
  network: string;
  /** The `name` of its configuration. */
  cniName: string;
  /** `<namespace>/<name>` of a definition. */
  definition?: string;
  /** On the runtime's interface. */
  primary: boolean;
  /** With prefix. */
  ips: string[];
  sandbox: Sandbox;
  netns: string;
  time: string;
}

/** Sorted by pod; unreadable records become messages. */
async function listAttachments(
  { records: store, dependencies }: Context,
  host: Host,
): Promise<{
  attachments: ListedAttachment[];
  unreadable: string[];
}> {
  const bootId = dependencies.bootId();
  const pods: { key: Buffer; attachments: ListedAttachment[] }[] = [];
  const unreadable: string[] = [];
  for await (const { name, record, error } of store.all()) {
    if (record) {
      const sandbox = sandboxOf(record, bootId, host);
      const { results } = await store.readResults(record);
      const attachments = listed(record, results, sandbox);
      pods.push({ key: keyOf(record), attachments });
    } else
      unreadable.push(`record ${JSON.stringify(name)}: ${messageOf(error)}`);
  }
  pods.sort((a, b) => Buffer.compare(a.key, b.key));
  return {
    attachments: pods.flatMap(({ attachments }) => attachments),
    unreadable,
  };
}

function keyOf({ pod, containerId, ifname }: AttachmentRecord): Buffer {
  return Buffer.from(
    [pod?.namespace ?? "", pod?.name ?? "", containerId, ifname].join("\0"),
  );
}

function listed(
  record: AttachmentRecord,
  results: ReadonlyMap<string, Result>,
  sandbox: Sandbox,
): ListedAttachment[] {
  const { containerId, pod, netns, time } = record;
  return record.attachments.map((attachment) => {
    const { ifname, definition } = attachment;
    const result = results.get(ifname);
    return {
      containerId,
      ...(pod && { pod }),
      ifname,
      network: displayName(attachment),
      cniName: attachment.list.name,
      ...(definition !== undefined && { definition }),
      primary: ifname === record.ifname,
      ips: addressesOf(result),
      sandbox,
      netns,
      time,
    };
  });
}

export function sandboxOf(
  record: Pick<AttachmentRecord, "bootId" | "netns" | "mountNamespace">,
  currentBoot: string,
  host: Host,
): Sandbox {
  const { bootId, netns } = record;
  if (bootId !== currentBoot) return "earlier boot";
  if (netns !== "" && isNamespace(host.path(netns))) return "live";
  return isSeen(record, host) ? "gone" : "unknown";
}

function tableOf(
  rows: readonly ListedAttachment[],
  now: Date,
  wide: boolean,
): string {
  if (rows.length === 0) return "no attachments\n";
  return columns([
    [
      ...attachmentHead,
      ...(wide ? ["CNI NAME"] : []),
      "ADDRESSES",
      "SANDBOX",
      "AGE",
    ],
    ...rows.map((row) => [
      ...attachmentCells(row, row.definition ?? row.network),
      ...(wide ? [row.cniName] : []),
      row.ips.join(",") || "-",
      row.sandbox,
      age(row.time, now),
    ]),
  ]);
}
