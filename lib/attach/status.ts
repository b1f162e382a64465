/**
 * STATUS: whether an ADD could succeed now (state.md "CHECK, GC, STATUS").
 * containerd asks with every CRI status, so it is quick and never calls the API
 * server.
 */
import { Deadline } from "../linux/deadline.ts";
import { Code, CniError } from "../cni/error.ts";
import { statusNetwork, validateNetwork } from "../cni/network.ts";
import {
  type RequestedNetwork,
  defaultNetworks,
  displayName,
} from "../select/select.ts";
import { readNetworks } from "./networks.ts";
import {
  type Operation,
  callerOf,
  isNested,
  ofNetwork,
  phases,
  recursion,
} from "./context.ts";

/** Throws 50 when we are not ready, or the default network's own error. */
export async function status(operation: Operation): Promise<void> {
  if (isNested(operation)) throw recursion(operation);
  const { world, path } = operation;
  const networks = await own(operation);
  const deadline = new Deadline(phases.status, world.clock);
  const caller = callerOf(operation);
  for (const network of networks) {
    try {
      await statusNetwork(network.list, path, deadline, caller);
    } catch (error) {
      throw ofNetwork(CniError.from(error), undefined, displayName(network));
    }
  }
}

/** Our own part; the default networks. */
async function own(operation: Operation): Promise<RequestedNetwork[]> {
  const { config, world, path } = operation;
  try {
    const networks = defaultNetworks(config, readNetworks(operation));
    const self = world.self();
    for (const { list } of networks) validateNetwork(list, path, self);
    if (!config.declaresAnnotations) await world.checkKube(config);
    return networks;
  } catch (cause) {
    throw notAvailable(cause);
  }
}

/** The error of what keeps us from being ready, an invalid configuration included. */
export function notAvailable(cause: unknown): CniError {
  const { message, details } = CniError.from(cause);
  return new CniError(Code.notAvailable, message, { details, cause });
}
