/**
 * The directory of records: whether it can be written, stale records in it,
 * and attachments that could not be deleted (`genie gc` tries them again).
 */
import { accessSync, constants, existsSync } from "node:fs";
import { dirname } from "node:path";
import { messageOf } from "../../linux/errno.ts";
import { requireOwnDirectory } from "../../linux/own-files.ts";
import { recordDirectory } from "../../state/record-directory.ts";
import { counted } from "../command/table.ts";
import { problemOf } from "../node/attempt.ts";
import { abandonedOnNode } from "../records/abandoned.ts";
import { sandboxOf } from "../records/sandbox.ts";
import { type Check, fail, ok, warn } from "./check.ts";

export const checkDataDir: Check = ({ context }) => {
  if (!context) return [];
  const { dataDir } = context.config;
  // ADD makes the directory; before that its parent counts.
  let directory = `${dataDir}/attachments`;
  while (!existsSync(directory) && directory !== "/")
    directory = dirname(directory);
  const problem = unsafe(dataDir);
  if (problem !== undefined)
    return fail(
      problem,
      "every ADD and DEL fails: inspect its content, then chown root and chmod go-w it",
    );
  try {
    accessSync(directory, constants.W_OK);
    return ok(`${dataDir} can be written`);
  } catch (error) {
    return fail(
      messageOf(error),
      "every ADD fails: repair the disk, or set another dataDir",
    );
  }
};

/** Why records are not trusted; undefined if they are. */
export function unsafe(dataDir: string): string | undefined {
  return problemOf(() => {
    for (const directory of ["attachments", "abandoned", "locks"])
      requireOwnDirectory(`${dataDir}/${directory}`);
  });
}

export const checkLeftOver: Check = async ({ context, host }) => {
  if (!context || unsafe(context.config.dataDir) !== undefined) return [];
  const bootId = context.dependencies.bootId();
  const unreadable: string[] = [];
  let all = 0;
  let stale = 0;
  let unseen = 0;
  for await (const { name, record } of recordDirectory(context).all()) {
    if (!record) unreadable.push(name);
    else {
      all++;
      const sandbox = sandboxOf(record, bootId, host);
      if (sandbox === "unknown") unseen++;
      else if (sandbox !== "live") stale++;
    }
  }
  if (unreadable.length > 0)
    return fail(
      `${counted(unreadable.length, "record")} cannot be read: ${unreadable.join(", ")}`,
      "the next DEL of the pod renames a damaged record, if the pod is gone remove the file; a record of a newer genie needs that genie",
    );
  if (stale === 0)
    return ok(`none among ${counted(all, "record")}${unseenText(unseen)}`);
  return warn(
    `${stale} of ${counted(all, "record")} without a sandbox${unseenText(unseen)}`,
    "genie gc deletes their attachments",
  );
};

/** A container sees few of the node's namespaces. */
function unseenText(count: number): string {
  return count === 0
    ? ""
    : `; ${count} cannot be seen from this mount namespace`;
}

export const checkAbandoned: Check = async ({ context }) => {
  if (!context || unsafe(context.config.dataDir) !== undefined) return [];
  const { attachments, unreadable } = await abandonedOnNode(context);
  const count = attachments.length + unreadable.length;
  if (count === 0) return [];
  const [first] = attachments;
  const example = first
    ? `, as ${first.ifname} of ${first.containerId.slice(0, 12)} in network ${first.network}: ${first.error || "no error is known"}`
    : "";
  return warn(
    `${count} could not be deleted${example}`,
    "correct the cause and run `genie gc`, which tries again; `genie list --abandoned` lists all, `genie gc --drop CONTAINER` forgets one",
  );
};
