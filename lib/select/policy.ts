/**
 * The node's restrictions: networks that the author of a pod or definition may
 * select, plugins that a definition may execute, and single-use plugins
 * (selection.md §5, §6, §8). Pure.
 */
import type { NetworkConfigList } from "../cni/conflist.ts";
import { type CniError, invalidConfig } from "../cni/error.ts";
import { executedTypes } from "../cni/executable-types.ts";
import { plain, quote } from "../linux/text.ts";
import type { GenieConfig } from "./config.ts";
import {
  type Candidate,
  type Networks,
  findNetwork,
  ownTypes,
} from "./node-networks.ts";
import { defaultsOrNone } from "./default-network.ts";
import { joined } from "./problem-list.ts";

/**
 * `allowedNetworks`: throws 7 unless it contains the candidate of `from`;
 * `requested` names it in the message. The default network of `networks` is always
 * allowed.
 */
export function requireAllowed(
  requested: string,
  candidate: Candidate,
  from: Networks,
  config: GenieConfig,
  networks: Networks,
): void {
  const names = config.allowedNetworks;
  if (!names) return;
  for (const node of defaultsOrNone(config, networks))
    if (node.candidate.list === candidate.list) return;
  // The file key first: other names may require more files to be read.
  if (names.includes(candidate.key) && isNamed(candidate.key)) return;
  for (const name of names) if (isNamed(name)) return;
  throw notAllowed(`network ${quote(requested)}`, "allowedNetworks", names);

  function isNamed(name: string): boolean {
    return findNetwork(from, name)?.list === candidate.list;
  }
}

/**
 * `allowedPlugins` and `allowedIpams`, for everything that the plugins of a
 * definition can execute. Throws 7.
 */
export function requireAllowedPlugins(
  { plugins }: NetworkConfigList,
  config: GenieConfig,
): void {
  const { allowedPlugins } = config;
  const own = ownTypes(config);
  for (const plugin of plugins) {
    for (const { type, isIpam } of executedTypes([plugin])) {
      if (own.includes(type))
        throw invalidConfig(
          `plugin ${quote(plugin.type)} would execute genie again`,
        );
      const key = isIpam ? "allowedIpams" : "allowedPlugins";
      const allowed = config[key];
      if (!allowed || allowed.includes(type) || allowedPlugins?.includes(type))
        continue;
      const what = isIpam ? "IPAM plugin" : "plugin";
      throw notAllowed(`${what} ${quote(type)}`, key, allowed);
    }
  }
}

/** Plugin type → the reason why a container can have it only once. */
const servesOnce: Readonly<Record<string, string>> = {
  calico:
    "it names the interface of the host after the pod, so its second ADD removes the pod's first interface",
  flannel:
    "it keeps one file per container, so its second DEL finds nothing and an address leaks",
};

/** A network on an interface, and its name in messages. */
export interface NamedNetwork {
  list: NetworkConfigList;
  ifname: string;
  name: string;
}

/** Throws 7 naming both networks and the reason; types of `allowRepeated` may occur twice. */
export function requireServedOnce(
  networks: readonly NamedNetwork[],
  { allowRepeated }: GenieConfig,
): void {
  const users = new Map<string, NamedNetwork>();
  for (const network of networks) {
    // One network may use a type twice; IPAM plugins do not attach.
    const types = executedTypes(network.list.plugins);
    for (const { type, isIpam } of types) {
      const reason = Object.hasOwn(servesOnce, type) && servesOnce[type];
      if (isIpam || !reason || allowRepeated.includes(type)) continue;
      const other = users.get(type) ?? network;
      users.set(type, other);
      if (other === network) continue;
      const both = [other, network].map(
        ({ name, ifname }) => `${quote(name)} (${plain(ifname)})`,
      );
      throw invalidConfig(
        `networks ${both.join(" and ")} both use plugin ${quote(type)}, which serves a container once: ${reason}`,
      );
    }
  }
}

function notAllowed(
  what: string,
  key: string,
  allowed: readonly string[],
): CniError {
  return invalidConfig(
    `${what} is not allowed on this node: ${key} has ${joined(allowed.map(plain), 4000) || "none"}`,
  );
}
