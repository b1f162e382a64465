/**
 * STATUS: whether an ADD could succeed now (state.md "CHECK, GC, STATUS").
 * containerd asks with every CRI status, so it is quick and never calls the API
 * server.
 */
import type { NetworkConfigList } from "../cni/conflist.ts";
import { Deadline } from "../cni/deadline.ts";
import { Code, CniError } from "../cni/error.ts";
import { statusNetwork, validateNetwork } from "../cni/network.ts";
import { defaultNetworks } from "../select/select.ts";
import { readNetworks } from "./networks.ts";
import {
  type Operation,
  callerOf,
  isNested,
  ofNetwork,
  phases,
  recursion,
} from "./operation.ts";

/** Throws 50 when we are not ready, or the default network's own error. */
export async function status(operation: Operation): Promise<void> {
  if (isNested(operation)) throw recursion(operation);
  const { world, path } = operation;
  const lists = await own(operation);
  const deadline = new Deadline(phases.status, world.clock);
  const caller = callerOf(operation);
  for (const list of lists) {
    try {
      await statusNetwork(list, path, deadline, caller);
    } catch (error) {
      throw ofNetwork(CniError.from(error), undefined, list.name);
    }
  }
}

/** Our own part; the default networks. */
async function own(operation: Operation): Promise<NetworkConfigList[]> {
  const { config, world, path } = operation;
  try {
    const lists = defaultNetworks(config, readNetworks(operation)).map(
      ({ list }) => list,
    );
    const self = world.self();
    for (const list of lists) validateNetwork(list, path, self);
    if (!config.declaresAnnotations) await world.checkKube(config);
    return lists;
  } catch (cause) {
    const error = CniError.from(cause);
    throw new CniError(Code.notAvailable, error.message, {
      details: error.details,
      cause,
    });
  }
}
