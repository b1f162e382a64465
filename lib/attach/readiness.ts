/**
 * STATUS: whether an ADD could succeed now. containerd asks with every CRI status, so it is
 * quick and never calls the API server (state.md "CHECK, GC, STATUS").
 */
import { Code, CniError } from "../cni/error.ts";
import { statusNetwork } from "../cni/network-upkeep.ts";
import { validateNetwork } from "../cni/network.ts";
import { SystemError } from "../linux/errno.ts";
import { requireWritable } from "../linux/file-calls.ts";
import { makeOwnDirectory } from "../linux/own-files.ts";
import { quote } from "../linux/text.ts";
import type { NodeNetwork } from "../select/node-networks.ts";
import { defaultNetworks } from "../select/default-network.ts";
import {
  type Context,
  deadlineOf,
  notAvailable,
  prefixNetwork,
  readNetworks,
  refuseNested,
} from "./context.ts";
import { delegateCaller } from "./delegates.ts";

/** Throws 50 when genie is not ready, or the error of the default network. */
export async function status(context: Context): Promise<void> {
  refuseNested(context);
  const { path } = context;
  const networks = await readyNetworks(context);
  const deadline = deadlineOf(context, "status");
  const caller = delegateCaller(context);
  for (const { candidate, name = candidate.key } of networks) {
    try {
      await statusNetwork(candidate.list, path, deadline, caller);
    } catch (error) {
      throw prefixNetwork(error, undefined, name);
    }
  }
}

/** The default networks, if genie could execute them. Throws 50. */
async function readyNetworks(context: Context): Promise<NodeNetwork[]> {
  const { config, dependencies, path } = context;
  try {
    for (const own of ["attachments", "locks"])
      requireUsable(`${config.dataDir}/${own}`);
    const networks = defaultNetworks(config, readNetworks(context));
    const self = dependencies.self();
    for (const { candidate } of networks)
      validateNetwork(candidate.list, path, self);
    if (!config.declaresAnnotations) await dependencies.checkKube(config);
    return networks;
  } catch (cause) {
    throw notAvailable(cause);
  }
}

/** An ADD needs the directory: it refuses one that others may write to, and fails on a disk that is read-only. */
function requireUsable(directory: string): void {
  try {
    makeOwnDirectory(directory);
    requireWritable(directory);
  } catch (cause) {
    if (!(cause instanceof SystemError)) throw cause;
    throw new CniError(
      Code.io,
      `failed to use directory ${quote(directory)}: ${cause.message}`,
      { cause },
    );
  }
}
