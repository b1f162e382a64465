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
import { type Terminal, age, columns } from "./terminal.ts";
import { type Command, UsageError } from "./command.ts";
import {
  directoryOptions,
  directoriesOf,
  hostOf,
  rootOption,
  nodeContext,
} from "./node.ts";
import { type Host, isSeen } from "./host.ts";
import {
  namespaceOptions,
  structured,
  structuredFormats,
  wantedNamespace,
} from "./output.ts";
import { type PodTraffic, TrafficReader, bytesText } from "./pod-traffic.ts";

export const list: Command = {
  about: `Reads the attachment records of this node only, not the API server or the runtime. HOST is the host's
end of the interface, or its parent; IN and OUT are bytes as the pod sees them. SANDBOX is the
state of the network namespace: live, gone, earlier boot, or unknown if this is not the mount
namespace of the container runtime.`,
  options: {
    ...namespaceOptions,
    output: {
      value: "FORMAT",
      short: "o",
      choices: ["table", "wide", ...structuredFormats],
      about: "table, wide (adds the CNI names), json or yaml (default table)",
    },
    abandoned: {
      about: "list attachments that could not be deleted instead",
    },
    watch: {
      short: "w",
      about: "do not end: print what changes",
    },
    ...directoryOptions,
    ...rootOption,
  },
  async run(input, terminal) {
    const { env, stdout, stderr, now } = terminal;
    const host = hostOf(input);
    const context = nodeContext(directoriesOf(input), env, { host });
    const format = input.text("output");
    const namespace = wantedNamespace(input);
    const isWanted = ({ pod }: { pod?: { namespace: string } }): boolean =>
      namespace === undefined || pod?.namespace === namespace;
    if (input.flag("watch")) {
      if (input.flag("abandoned"))
        throw new UsageError("--watch and --abandoned exclude each other");
      return watchAttachments(terminal, format, async () => {
        const { attachments } = await listAttachments(context, host);
        return attachments.filter(isWanted);
      });
    }
    const print = <T>(
      rows: readonly T[],
      table: (rows: readonly T[]) => string,
    ) => stdout(structured(rows, format) ?? table(rows));
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

/** Milliseconds between two looks. */
const watchMs = 1000;

/** As kubectl: the table, then each row that comes, changes or goes. Age and traffic alone are no change. */
async function watchAttachments(
  { stdout, sleep, stopped, now }: Terminal,
  format: string | undefined,
  read: () => Promise<ListedAttachment[]>,
): Promise<number> {
  let before: ReadonlyMap<string, ListedAttachment> | undefined;
  let hasHead = false;
  while (!stopped()) {
    const rows = new Map((await read()).map((row) => [idOf(row), row]));
    const gone = [...(before ?? [])].filter(([id]) => !rows.has(id));
    const changed = [
      ...gone.map(([, row]) => ({ ...row, sandbox: "deleted" as const })),
      ...[...rows]
        .filter(([id, row]) => !isSame(before?.get(id), row))
        .map(([, row]) => row),
    ];
    if (changed.length > 0 || before === undefined) {
      const table = tableOf(changed, now(), format === "wide", !hasHead);
      await stdout(documents(changed, format) ?? table);
      hasHead ||= changed.length > 0;
    }
    before = rows;
    await sleep(watchMs);
  }
  return 0;
}

function idOf({ containerId, ifname }: ListedAttachment): string {
  return `${containerId}:${ifname}`;
}

function isSame(
  before: ListedAttachment | undefined,
  now: ListedAttachment,
): boolean {
  const { bytesIn, bytesOut } = now;
  return Bun.deepEquals({ ...before, bytesIn, bytesOut }, now);
}

/** One document for each row; undefined for a table. */
function documents(
  rows: readonly ListedAttachment[],
  format: string | undefined,
): string | undefined {
  if (format !== "json" && format !== "yaml") return undefined;
  const separator = format === "yaml" ? "---\n" : "";
  return rows.map((row) => separator + structured(row, format)).join("");
}

/**
 * "gone": the namespace does not exist; "earlier boot": it cannot exist any more;
 * "unknown": not visible from here.
 */
export type Sandbox = "live" | "gone" | "earlier boot" | "unknown";

export interface ListedAttachment extends Partial<PodTraffic> {
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
  /** "deleted": its record went (--watch). */
  sandbox: Sandbox | "deleted";
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
  const traffic = new TrafficReader();
  for await (const { name, record, error } of store.all()) {
    if (record) {
      const sandbox = sandboxOf(record, bootId, host);
      const { results } = await store.readResults(record);
      const netns = sandbox === "live" ? host.path(record.netns) : undefined;
      const attachments = listed(record, results, sandbox).map((row) => ({
        ...row,
        ...(netns !== undefined && traffic.of(netns, row.ifname)),
      }));
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
  hasHead = true,
): string {
  if (rows.length === 0) return "no attachments\n";
  const head = [
    ...attachmentHead,
    ...(wide ? ["CNI NAME"] : []),
    "ADDRESSES",
    "HOST",
    "IN",
    "OUT",
    "SANDBOX",
    "AGE",
  ];
  return columns([
    ...(hasHead ? [head] : []),
    ...rows.map((row) => [
      ...attachmentCells(row, row.definition ?? row.network),
      ...(wide ? [row.cniName] : []),
      row.ips.join(",") || "-",
      row.hostInterface ?? "-",
      bytesText(row.bytesIn),
      bytesText(row.bytesOut),
      row.sandbox,
      age(row.time, now),
    ]),
  ]);
}
