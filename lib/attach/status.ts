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
import {
  type Context,
  delegateCaller,
  isNested,
  prefixNetwork,
  phases,
  recursion,
  readNetworks,
} from "./context.ts";

/** Throws 50 when we are not ready, or the default network's own error. */
export async function status(context: Context): Promise<void> {
  if (isNested(context)) throw recursion(context);
  const { dependencies, path } = context;
  const networks = await own(context);
  const deadline = new Deadline(phases.status, dependencies.clock);
  const caller = delegateCaller(context);
  for (const network of networks) {
    try {
      await statusNetwork(network.list, path, deadline, caller);
    } catch (error) {
      throw prefixNetwork(
        CniError.from(error),
        undefined,
        displayName(network),
      );
    }
  }
}

/** Our own part; the default networks. */
async function own(context: Context): Promise<RequestedNetwork[]> {
  const { config, dependencies, path } = context;
  try {
    const networks = defaultNetworks(config, readNetworks(context));
    const self = dependencies.self();
    for (const { list } of networks) validateNetwork(list, path, self);
    if (!config.declaresAnnotations) await dependencies.checkKube(config);
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
