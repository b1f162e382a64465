/**
 * The default network of the node (selection.md §5). Pure.
 */
import { isIdentifier } from "../cni/args.ts";
import { Code, CniError } from "../cni/error.ts";
import { quote } from "../linux/text.ts";
import { type NetworkRequest, parseNetworks } from "./cni-annotation.ts";
import type { RequestedNetwork } from "./attachment.ts";
import type { GenieConfig } from "./config.ts";
import {
  type Candidate,
  type Networks,
  firstNetwork,
  requireNetwork,
} from "./resolve.ts";

/** `default_plugin`, else the first network of the directory. Throws 7. */
export function defaultNetworks(
  config: GenieConfig,
  networks: Networks,
): RequestedNetwork[] {
  if (config.defaultPlugin.trim() === "") {
    const first = firstNetwork(networks);
    return [nodeNetwork({ name: first.key }, first, networks)];
  }
  const requests: RequestedNetwork[] = [];
  const source = 'configuration key "default_plugin"';
  for (const element of parseNetworks(source, config.defaultPlugin)) {
    const found = requireNetwork(networks, element.name);
    requests.push(nodeNetwork(element, found, networks));
  }
  return requests;
}

/** A node without a default network can still have others. */
export function defaultsOrNone(
  config: GenieConfig,
  networks: Networks,
): RequestedNetwork[] {
  try {
    return defaultNetworks(config, networks);
  } catch {
    return [];
  }
}

/** A network of the node as it was requested. Throws 7 for one whose file gives it no name that CNI allows. */
export function nodeNetwork(
  { name: requested, ifname }: NetworkRequest,
  { file, list }: Candidate,
  { confDir }: Networks,
): RequestedNetwork {
  if (!isIdentifier(list.name)) {
    const problem =
      list.name === ""
        ? "missing network name"
        : `invalid characters found in network name ${quote(list.name)}`;
    throw new CniError(
      Code.invalidNetworkConfig,
      `network configuration ${confDir}/${file}: ${problem}`,
    );
  }
  return ifname === undefined
    ? { list, requested }
    : { list, requested, ifname };
}
