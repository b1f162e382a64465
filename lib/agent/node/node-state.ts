/**
 * Whether the networks of this node are ready (agent.md "Taint and labels"): genie's own
 * STATUS, and of each network of the directory whether its plugins are there and its
 * STATUS is good. Asked by `--taint` and `--labels`; pods do not wait for it.
 */
import * as v from "valibot";
import { status } from "../../attach/readiness.ts";
import { type Context, readNetworks } from "../../attach/context.ts";
import { delegateCaller } from "../../attach/delegates.ts";
import { readConfDir } from "../../cni/confdir.ts";
import { requirePlugin } from "../../cni/invoke.ts";
import { validateNetwork } from "../../cni/network.ts";
import { statusNetwork } from "../../cni/network-upkeep.ts";
import { object } from "../../cni/schema.ts";
import { Deadline } from "../../linux/deadline.ts";
import { messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import { findNetwork, namesOf } from "../../select/node-networks.ts";

export const nodeStateSchema = object({
  /** Why pods cannot be attached by genie now; absent when they can. */
  problem: v.exactOptional(v.string()),
  /** Names in lower case, by which a pod can ask for a network that is ready. */
  names: v.array(v.string()),
});

export type NodeState = v.InferOutput<typeof nodeStateSchema>;

/** Milliseconds for the STATUS of one network. */
const statusMs = 5000;

/** `context`: of a STATUS. Never throws. */
export async function nodeState(open: () => Context): Promise<NodeState> {
  let context: Context;
  try {
    context = open();
  } catch (error) {
    return { problem: messageOf(error), names: [] };
  }
  const problem = await statusProblem(context);
  const names = await readyNames(context).catch(() => []);
  return { ...(problem !== undefined && { problem }), names };
}

async function statusProblem(context: Context): Promise<string | undefined> {
  try {
    requireRuntimes(context);
    requirePlugin(context.config.type, context.path);
    await status(context);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** A runtime uses the first valid file (container-runtimes.md K-1). Throws Error. */
function requireRuntimes({ config }: Context): void {
  const { confDir, type } = config;
  const first = readConfDir(confDir).find(({ list }) => list);
  if (first?.list?.plugins.some((plugin) => plugin.type === type)) return;
  throw new Error(
    first
      ? `the runtime uses ${quote(first.file)}, which is not genie's`
      : `no CNI configuration in ${confDir}`,
  );
}

async function readyNames(context: Context): Promise<string[]> {
  const networks = readNetworks(context);
  const { path, dependencies } = context;
  const ready = new Set<string>();
  for (const { file, list } of networks.candidates) {
    try {
      validateNetwork(list, path, dependencies.self());
      const deadline = new Deadline(statusMs);
      await statusNetwork(list, path, deadline, delegateCaller(context));
      ready.add(file);
    } catch {
      // It has no label; STATUS or an ADD says why.
    }
  }
  const names = new Set<string>();
  for (const candidate of networks.candidates)
    for (const text of namesOf(candidate)) {
      const name = text.toLowerCase();
      const file = findNetwork(networks, name)?.file;
      if (file !== undefined && ready.has(file)) names.add(name);
    }
  return [...names].toSorted();
}
