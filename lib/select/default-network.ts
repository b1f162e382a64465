/** The default network of the node (selection.md §5). Pure, but for the files it reads. */
import { invalidConfig } from "../cni/error.ts";
import { parseNetworks } from "./cni-annotation.ts";
import type { GenieConfig } from "./config.ts";
import {
  type Candidate,
  type Networks,
  firstOf,
  requireNetwork,
  invalidFiles,
  type NodeNetwork,
} from "./node-networks.ts";

/** The first candidate that is not only a loopback. Throws 7. */
export function firstNetwork(networks: Networks): Candidate {
  const found = firstOf(networks, () => true, isMoreThanLoopback);
  if (found) return found;
  throw invalidConfig(
    `no default network: ${networks.confDir} holds no other CNI configuration${invalidFiles(networks)}`,
  );
}

function isMoreThanLoopback({ list }: Candidate): boolean {
  for (const { type } of list.plugins) if (type !== "loopback") return true;
  return false;
}

/**
 * `default_plugin`, else the first network of the directory; `reason` is for
 * messages. Throws 7.
 */
export function defaultNetworks(
  config: Pick<GenieConfig, "defaultPlugin">,
  networks: Networks,
  reason = "",
): NodeNetwork[] {
  const { defaultPlugin } = config;
  if (defaultPlugin.trim() === "") {
    const origin = `${reason}: first network in ${networks.confDir}`;
    return [{ candidate: firstNetwork(networks), origin }];
  }
  const origin = `${reason}: default_plugin names`;
  const source = 'configuration key "default_plugin"';
  const defaults: NodeNetwork[] = [];
  for (const request of parseNetworks(source, defaultPlugin)) {
    const candidate = requireNetwork(networks, request.name);
    defaults.push({ candidate, origin, ...request });
  }
  return defaults;
}

/** The default networks; empty on a node without one, which can still have other networks. */
export function defaultsOrNone(
  config: Pick<GenieConfig, "defaultPlugin">,
  networks: Networks,
): NodeNetwork[] {
  try {
    return defaultNetworks(config, networks);
  } catch {
    return [];
  }
}
