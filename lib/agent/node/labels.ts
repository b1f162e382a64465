/**
 * `--labels`: the node carries `networks.genie/<name>: ready` for each name of each network
 * of its directory that is ready (agent.md "Taint and labels"), so that a scheduler knows
 * which node has which network.
 */
import { type FSWatcher, watch } from "node:fs";
import { monotonicMs } from "../../linux/deadline.ts";
import { patchNode, getNode } from "./node-object.ts";
import type { Part } from "../part.ts";
import { pause } from "../timing.ts";

const prefix = "networks.genie/";

/** The part of a label's key behind the prefix. */
const labelName = /^[a-z0-9](?:[a-z0-9_.-]{0,61}[a-z0-9])?$/;

/** Milliseconds. */
const limits = {
  /** Between two looks at the networks. */
  look: 10_000,
  /** After a change of their directory, in which more may follow. */
  settle: 1000,
  /** Until the node is read again: somebody else may change its labels. */
  again: 60_000,
};

export const labels: Part = {
  name: "labels",
  async run(agent, signal) {
    let done = "";
    let doneMs = -Infinity;
    while (!signal.aborted) {
      const { names } = await agent.nodeState();
      const text = names.join(" ");
      if (text !== done || monotonicMs() - doneMs > limits.again) {
        const changes = labelChanges((await getNode(agent)).labels, names);
        if (Object.keys(changes).length > 0) {
          await patchNode(agent, { metadata: { labels: changes } });
          agent.log("info", "changed the labels of the node", changes);
        }
        done = text;
        doneMs = monotonicMs();
      }
      await changeIn(agent.context.config.confDir, limits.look, signal);
    }
  },
};

/** Resolves when the directory changes, or after `ms` milliseconds. */
async function changeIn(
  directory: string,
  ms: number,
  signal: AbortSignal,
): Promise<void> {
  const changed = new AbortController();
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(directory, () => changed.abort()).on("error", () => {});
  } catch {
    // A missing directory does not change.
  }
  await pause(ms, AbortSignal.any([signal, changed.signal]));
  watcher?.close();
  if (changed.signal.aborted) await pause(limits.settle, signal);
}

/** The labels to set, and with null those to remove. */
export function labelChanges(
  present: Readonly<Record<string, unknown>>,
  names: readonly string[],
): Record<string, "ready" | null> {
  const wanted = new Set(
    names.filter((name) => labelName.test(name)).map((name) => prefix + name),
  );
  const changes: Record<string, "ready" | null> = {};
  for (const key of Object.keys(present))
    if (key.startsWith(prefix) && !wanted.has(key)) changes[key] = null;
  for (const key of wanted)
    if (present[key] !== "ready") changes[key] = "ready";
  return changes;
}
