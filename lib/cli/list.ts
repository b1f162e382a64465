/** `genie list`: the attachments of this node, from the records. */
import type { Command } from "./command/command.ts";
import { optionsOf } from "./command/options.ts";
import {
  outputOption,
  structured,
  structuredFormats,
} from "./command/output.ts";
import { type Column, age, table } from "./command/table.ts";
import type { Terminal } from "./command/terminal.ts";
import { directoriesOf, nodeOptions } from "./node/directories.ts";
import { contextOf } from "./node/node-context.ts";
import { namespaceFilter, namespaceOptions } from "./pods/pod-operand.ts";
import {
  type AbandonedAttachment,
  abandonedOnNode,
} from "./records/abandoned.ts";
import {
  type ListedAttachment,
  type OnNode,
  type ShownAttachment,
  listAttachments,
} from "./records/listed-attachments.ts";
import { bytesText } from "./records/pod-traffic.ts";

export const list: Command = {
  about: `Reads the attachment records of this node only, not the API server or the runtime. HOST is the host's
end of the interface, or its parent; IN and OUT are bytes as the pod sees them. SANDBOX is the
state of the network namespace: live, gone, earlier boot, or unknown if this is not the mount
namespace of the container runtime. The format wide adds the CNI names.`,
  options: {
    ...namespaceOptions,
    output: outputOption("table", "wide", ...structuredFormats),
    ...optionsOf({
      "--abandoned": "list the attachments that could not be deleted",
      "-w, --watch": "keep running and print changes",
    }),
    ...nodeOptions,
  },
  async run(input, terminal) {
    const { env, stdout, stderr, now } = terminal;
    input.exclude("watch", "abandoned");
    const { host } = directoriesOf(input);
    const context = contextOf(input, env);
    const format = input.text("output");
    const isWanted = namespaceFilter(input);
    const wanted = <T extends ShownAttachment>(rows: readonly T[]) =>
      rows.filter(({ pod }) => isWanted(pod?.namespace));
    const print = async <T extends ShownAttachment>(
      { attachments, unreadable }: OnNode<T>,
      show: (rows: readonly T[]) => string,
    ): Promise<number> => {
      const rows = wanted(attachments);
      await stdout(structured(rows, format) ?? show(rows));
      for (const problem of unreadable) stderr(`genie list: ${problem}\n`);
      return unreadable.length === 0 ? 0 : 1;
    };
    if (input.flag("watch"))
      return watchAttachments(terminal, format, async () => {
        const found = await listAttachments(context, host);
        return { ...found, attachments: wanted(found.attachments) };
      });
    return input.flag("abandoned")
      ? print(await abandonedOnNode(context), (rows) =>
          abandonedTable(rows, now(), format),
        )
      : print(await listAttachments(context, host), (rows) =>
          tableOf(rows, now(), format),
        );
  },
};

/** Milliseconds between two reads. */
const watchMs = 1000;

/**
 * Prints the table, then each row that comes, changes or goes, as kubectl does. Age and
 * traffic are no change. A record that cannot be read is named once.
 */
async function watchAttachments(
  { stdout, stderr, sleep, stopped, now }: Terminal,
  format: string | undefined,
  read: () => Promise<OnNode<ListedAttachment>>,
): Promise<number> {
  let before: ReadonlyMap<string, ListedAttachment> | undefined;
  let reported: readonly string[] = [];
  let hasHead = false;
  while (!stopped()) {
    const { attachments, unreadable } = await read();
    const rows = new Map(attachments.map((row) => [idOf(row), row]));
    const gone = [...(before ?? [])].filter(([id]) => !rows.has(id));
    const changed = [
      ...gone.map(([, row]) => ({ ...row, sandbox: "deleted" as const })),
      ...[...rows]
        .filter(([id, row]) => !isSame(before?.get(id), row))
        .map(([, row]) => row),
    ];
    if (changed.length > 0 || before === undefined) {
      const shown = tableOf(changed, now(), format, !hasHead);
      await stdout(documents(changed, format) ?? shown);
      hasHead ||= changed.length > 0;
    }
    for (const problem of unreadable)
      if (!reported.includes(problem)) stderr(`genie list: ${problem}\n`);
    reported = unreadable;
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

function tableOf(
  rows: readonly ListedAttachment[],
  now: Date,
  format: string | undefined,
  hasHead = true,
): string {
  if (rows.length === 0) return "no attachments\n";
  return table<ListedAttachment>(
    rows,
    [
      ...places,
      ...networkColumns(format),
      addresses,
      ["HOST", ({ hostInterface }) => hostInterface ?? "-"],
      ["IN", ({ bytesIn }) => bytesText(bytesIn)],
      ["OUT", ({ bytesOut }) => bytesText(bytesOut)],
      ["SANDBOX", ({ sandbox }) => sandbox],
      ["AGE", ({ time }) => age(time, now)],
    ],
    hasHead,
  );
}

function abandonedTable(
  rows: readonly AbandonedAttachment[],
  now: Date,
  format: string | undefined,
): string {
  if (rows.length === 0) return "nothing is abandoned\n";
  return table<AbandonedAttachment>(rows, [
    ...places,
    ...networkColumns(format),
    addresses,
    ["AGE", ({ time }) => age(time, now)],
    ["ERROR", ({ error }) => error || "-"],
  ]);
}

const places: readonly Column<ShownAttachment>[] = [
  ["NAMESPACE", ({ pod }) => pod?.namespace ?? "-"],
  ["POD", ({ pod }) => pod?.name ?? "-"],
  ["CONTAINER", ({ containerId }) => containerId.slice(0, 12)],
  ["INTERFACE", ({ ifname }) => ifname],
];

function networkColumns(format: string | undefined): Column<ShownAttachment>[] {
  return [
    ["NETWORK", ({ definition, network }) => definition ?? network],
    ...(format === "wide" ? [cniName] : []),
  ];
}

const cniName: Column<ShownAttachment> = ["CNI NAME", (row) => row.cniName];

const addresses: Column<ShownAttachment> = [
  "ADDRESSES",
  ({ ips }) => ips.join(",") || "-",
];
