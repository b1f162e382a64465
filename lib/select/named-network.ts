/**
 * The network of the node that a name selects, and the meaning of the name `default`
 * (selection.md §2, §4). Pure, but for the files of the named networks.
 */
import { invalidConfig } from "../cni/error.ts";
import { type NetworkRequest, parseNetworks } from "./cni-annotation.ts";
import type { GenieConfig } from "./config.ts";
import {
  type Candidate,
  type Networks,
  type NodeNetwork,
  findByKey,
  requireNetwork,
} from "./node-networks.ts";
import { defaultNetworks } from "./default-network.ts";
import { requireAllowed } from "./policy.ts";

/** The networks that the annotation `cni` names. Throws 7. */
export function cniNetworks(
  text: string,
  config: GenieConfig,
  networks: Networks,
): NodeNetwork[] {
  const source = 'annotation "cni"';
  const requests = parseNetworks(source, text);
  const [first] = requests;
  if (first && requests.length === 1 && first.ifname === undefined)
    // `default` alone is rule b of selection.md §2.
    if (isDefaultName(first.name, networks))
      return defaultNetworks(config, networks, `${source} names "default"`);
  const found: NodeNetwork[] = [];
  for (const request of requests)
    found.push(namedNetwork(request, source, config, networks));
  return found;
}

/** A network by its name, in a list of several. Throws 7. */
export function namedNetwork(
  request: NetworkRequest,
  source: string,
  config: GenieConfig,
  networks: Networks,
): NodeNetwork {
  const { name, ifname } = request;
  const element = {
    network: name,
    ...(ifname !== undefined && { interface: ifname }),
  };
  if (isDefaultName(name, networks)) {
    const only = onlyDefault(source, config, networks);
    return { ...only, ifname: ifname ?? only.ifname, element };
  }
  const candidate = requireNetwork(networks, name);
  requireAllowed(name, candidate, networks, config, networks);
  const origin = `${source} names`;
  return { candidate, origin, ...request, element };
}

/** The network of a name in the configuration or in a custom resource. Throws 7. */
export function candidateNamed(
  name: string,
  source: string,
  config: GenieConfig,
  networks: Networks,
): Candidate {
  return isDefaultName(name, networks)
    ? onlyDefault(source, config, networks).candidate
    : requireNetwork(networks, name);
}

/**
 * Whether the name selects the default network, with which a pod opts out of its
 * namespace's choice (selection.md §4).
 */
export function isDefaultName(name: string, networks: Networks): boolean {
  return name === "default" && !findByKey(networks, name);
}

/** The default network, if it is a single one. Throws 7. */
function onlyDefault(
  source: string,
  config: GenieConfig,
  networks: Networks,
): NodeNetwork {
  const reason = `${source} names "default"`;
  const defaults = defaultNetworks(config, networks, reason);
  const [only, ...others] = defaults;
  if (!only || others.length > 0)
    throw invalidConfig(
      `${source}: network "default" stands for ${defaults.length} networks on this node, which can only be requested alone and without an interface name`,
    );
  return only;
}
