/**
 * From a NetworkAttachmentDefinition to the configuration list that it stands for,
 * and whether this node executes that (selection.md §5, §6). Pure, but for the
 * files of the node's networks.
 */
import { type NetworkConfigList, parseAnyConf } from "../cni/conflist.ts";
import { Code, CniError } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import { quote, isLonger } from "../linux/text.ts";
import { executedTypes } from "../cni/executable-types.ts";
import { isObject, parseJson } from "../cni/json.ts";
import { requireAllowed } from "./allowed-networks.ts";
import type { GenieConfig } from "./config.ts";
import { joined } from "./problems.ts";
import { type Networks, findByName } from "./resolve.ts";

/** A NetworkAttachmentDefinition as far as it decides anything. */
export interface Definition {
  namespace: string;
  name: string;
  /** `spec.config`, empty when there is none. */
  config: string;
}

/** What this node has and allows. */
export interface NodeContext {
  config: GenieConfig;
  networks: Networks;
  /** Of `multusConfDir`: read when a definition needs it; undefined where there is none. */
  multusNetworks(): Networks | undefined;
  ownTypes: readonly string[];
}

/** Throws 7 naming the definition, 5 when a directory of networks cannot be read. */
export function definitionList(
  definition: Definition,
  context: NodeContext,
): NetworkConfigList {
  const { namespace, name, config } = definition;
  const what = `network-attachment-definition ${quote(`${namespace}/${name}`)}`;
  try {
    return config.trim() === ""
      ? nodeList(name, context)
      : configuredList(definition, context);
  } catch (cause) {
    const code =
      cause instanceof CniError ? cause.code : Code.invalidNetworkConfig;
    throw new CniError(code, `${what}: ${messageOf(cause)}`, { cause });
  }
}

/** The network of the node that has the definition's name; those of Multus come second. */
function nodeList(name: string, context: NodeContext): NetworkConfigList {
  const { config, networks } = context;
  const directories: string[] = [];
  for (const from of directoriesOf(context)) {
    directories.push(from.confDir);
    const candidate = findByName(from, name);
    if (!candidate) continue;
    const what = `network ${quote(name)}`;
    requireAllowed({ what, candidate, from }, config, networks);
    return candidate.list;
  }
  throw new Error(
    `spec.config is empty and no network of ${directories.join(" or ")} has its name`,
  );
}

/** The second one is not read where the first one has the network. */
function* directoriesOf({
  networks,
  multusNetworks,
}: NodeContext): Generator<Networks> {
  yield networks;
  const second = multusNetworks();
  if (second) yield second;
}

/** What ADD accepts, a record must be able to hold (state.md "What ADD writes, DEL reads"). */
const maxBytes = 256 << 10;

function configuredList(
  { name, config }: Definition,
  context: NodeContext,
): NetworkConfigList {
  const list = parseConfig(config, name);
  requireExecutable(list, context);
  return list;
}

function parseConfig(config: string, name: string): NetworkConfigList {
  try {
    if (isLonger(config, maxBytes))
      throw new Error(`larger than ${maxBytes >> 10} KiB`);
    const value = parseJson(config);
    if (!isObject(value)) throw new Error("expected an object");
    return parseAnyConf(value, name);
  } catch (cause) {
    throw new Error(`spec.config: ${messageOf(cause)}`, { cause });
  }
}

/** One policy for everything that the plugins can execute. */
function requireExecutable(
  { plugins }: NetworkConfigList,
  { config, ownTypes }: NodeContext,
): void {
  const { allowedPlugins, allowedIpams } = config;
  for (const plugin of plugins) {
    for (const { type, isIpam } of executedTypes([plugin])) {
      if (ownTypes.includes(type))
        throw new Error(
          `plugin ${quote(plugin.type)} would execute genie again`,
        );
      if (!isIpam) {
        if (allowedPlugins && !allowedPlugins.includes(type))
          throw refused("plugin", type, "allowedPlugins", allowedPlugins);
      } else if (
        allowedIpams &&
        !allowedIpams.includes(type) &&
        !allowedPlugins?.includes(type)
      )
        throw refused("IPAM plugin", type, "allowedIpams", allowedIpams);
    }
  }
}

function refused(
  what: string,
  type: string,
  key: string,
  allowed: readonly string[],
): Error {
  return new Error(
    `${what} ${quote(type)} is not allowed on this node: ${key} has ${joined(allowed, 4000) || "none"}`,
  );
}
