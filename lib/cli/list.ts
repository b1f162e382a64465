/**
 * `genie list`: the attachments of this node, from the records.
 */
import type { Context } from "../attach/context.ts";
import type { Result } from "../cni/result.ts";
import { messageOf } from "../linux/errno.ts";
import { isNamespace } from "../linux/netns.ts";
import { displayName } from "../select/attachment.ts";
import { recordDirectory } from "../state/record-directory.ts";
import {
  type AttachmentRecord,
  type PodReference,
  resultKey,
} from "../state/record.ts";
import {
  abandonedOnNode,
  abandonedTable,
  addressesOf,
  attachmentCells,
  attachmentHead,
} from "./records/abandoned.ts";
import { type Command, UsageError } from "./command/command.ts";
import type { Host } from "./node/host.ts";
import { isSeen } from "./records/mount-namespace.ts";
import {
  directoryOptions,
  directoriesOf,
  hostOf,
  rootOption,
  nodeContext,
} from "./node/node.ts";
import {
  namespaceOptions,
  structured,
  structuredFormats,
  wantedNamespace,
} from "./command/output.ts";
import {
  type PodTraffic,
  bytesText,
  hostInterfaces,
  podTraffic,
} from "./records/pod-traffic.ts";
import { type Terminal, age, columns } from "./command/terminal.ts";

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
    const isWide = format === "wide";
    const namespace = wantedNamespace(input);
    const wanted = <T extends { pod?: PodReference }>(rows: readonly T[]) =>
      rows.filter(
        ({ pod }) => namespace === undefined || pod?.namespace === namespace,
      );
    const print = async <T extends { pod?: PodReference }>(
      { attachments, unreadable }: { attachments: T[]; unreadable: string[] },
      table: (rows: readonly T[]) => string,
    ): Promise<number> => {
      const rows = wanted(attachments);
      await stdout(structured(rows, format) ?? table(rows));
      for (const problem of unreadable) stderr(`genie list: ${problem}\n`);
      return unreadable.length === 0 ? 0 : 1;
    };
    if (!input.flag("abandoned") && input.flag("watch"))
      return watchAttachments(terminal, format, async () =>
        wanted((await listAttachments(context, host)).attachments),
      );
    if (!input.flag("abandoned"))
      return print(await listAttachments(context, host), (rows) =>
        tableOf(rows, now(), isWide),
      );
    if (input.flag("watch"))
      throw new UsageError("--watch and --abandoned exclude each other");
    return print(await abandonedOnNode(context), (rows) =>
      abandonedTable(rows, now()),
    );
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

/** An auxiliary chain is on the interface of the primary. */
function idOf({ containerId, ifname, cniName }: ListedAttachment): string {
  return [containerId, ifname, cniName].join("\0");
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
  pod?: PodReference;
  ifname: string;
  /** The name in the annotation, or the file key. */
  network: string;
  /** The `name` of its configuration. */
  cniName: string;
  /** `<namespace>/<name>` of a definition. */
  definition?: string;
  /** Not for an auxiliary chain, which is on the same interface. */
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
  { config, dependencies }: Context,
  host: Host,
): Promise<{
  attachments: ListedAttachment[];
  unreadable: string[];
}> {
  const bootId = dependencies.bootId();
  const pods: [key: string, rows: ListedAttachment[]][] = [];
  const unreadable: string[] = [];
  const hostNames = hostInterfaces();
  const store = recordDirectory({ config });
  for await (const { name, record, error } of store.all()) {
    if (!record) {
      unreadable.push(`record ${JSON.stringify(name)}: ${messageOf(error)}`);
      continue;
    }
    const { pod, containerId, ifname } = record;
    const sandbox = sandboxOf(record, bootId, host);
    const { results } = await store.readResults(record);
    const traffic =
      sandbox === "live"
        ? podTraffic(host.path(record.netns), hostNames)
        : undefined;
    const rows = listed(record, results, sandbox).map((row) => ({
      ...row,
      ...traffic?.get(row.ifname),
    }));
    pods.push([
      [pod?.namespace, pod?.name, containerId, ifname].join("\0"),
      rows,
    ]);
  }
  const sorted = pods.toSorted(([a], [b]) => (a < b ? -1 : 1));
  return { attachments: sorted.flatMap(([, rows]) => rows), unreadable };
}

function listed(
  record: AttachmentRecord,
  results: ReadonlyMap<string, Result>,
  sandbox: Sandbox,
): ListedAttachment[] {
  const { containerId, pod, netns, time } = record;
  return record.attachments.map((attachment) => {
    const { ifname, definition } = attachment;
    const result = results.get(resultKey(attachment));
    return {
      containerId,
      ...(pod && { pod }),
      ifname,
      network: displayName(attachment),
      cniName: attachment.list.name,
      ...(definition !== undefined && { definition }),
      primary: resultKey(attachment) === record.ifname,
      ips: addressesOf(result),
      sandbox,
      netns,
      time: attachment.time ?? time,
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
