/**
 * From a NetworkAttachmentDefinition and the requests for its attachment to the
 * executed configuration list and arguments (selection.md §6). Pure, but for the
 * files of the node's networks.
 */
import { formatCniArgs, parseCniArgs } from "../cni/args.ts";
import {
  type NetworkConfigList,
  type PluginConf,
  parseAnyConf,
} from "../cni/conflist.ts";
import { Code, CniError, invalidConfig } from "../cni/error.ts";
import {
  isObject,
  mismatch,
  omitUndefined,
  own,
  parseJson,
} from "../cni/json.ts";
import { declares } from "../cni/network.ts";
import { messageOf } from "../linux/errno.ts";
import { isLonger, quote } from "../linux/text.ts";
import type { Attachment, Device, Element, Extras } from "./attachment.ts";
import type { DefinitionReference } from "./definition-references.ts";
import type { SelectionContext } from "./selection-context.ts";
import {
  type Networks,
  findByName,
  networkNameProblem,
} from "./node-networks.ts";
import type { NetworkSelectionElement } from "./npwg-annotation.ts";
import { requireAllowed, requireAllowedPlugins } from "./policy.ts";

/** A definition, and the device for the attachment that names it. */
interface Definition {
  /** `spec.config`, empty if there is none. */
  config: string;
  device?: Device | undefined;
}

/**
 * Throws 7 for a definition that is invalid or not allowed, 5 for an unreadable
 * directory of networks.
 */
export function definitionNetwork(
  { key, namespace, element }: DefinitionReference,
  { config, device }: Definition,
  context: SelectionContext,
): Omit<Attachment, "ifname"> {
  const base = definitionList(key, element.name, config, context);
  const plugins: PluginConf[] = [];
  for (const plugin of base.plugins) {
    const isFirst = plugins.length === 0;
    const used = isFirst ? withDevice(plugin, device) : plugin;
    plugins.push(withArgs(used, element.cniArgs));
  }
  const list = { ...base, plugins };
  const capabilityArgs = elementArgs(element, device);
  requireCapabilities(key, list, capabilityArgs, context);
  const { ips, mac, defaultRoute } = element;
  const extras = omitUndefined<Extras>({ ips, mac, defaultRoute });
  return {
    list,
    definition: key,
    element: elementOf(namespace, element),
    capabilityArgs,
    args: attachmentArgs(context.args, element, list),
    ...(device && { device }),
    ...(Object.keys(extras).length > 0 && { extras }),
  };
}

/** The element as a value: its requests, apart from what identifies the network. */
export function elementOf(
  namespace: string,
  { name, namespace: _namespace, ifname, ...requests }: NetworkSelectionElement,
): Element {
  return {
    network: name,
    namespace,
    ...(ifname !== undefined && { interface: ifname }),
    ...(Object.keys(requests).length > 0 && { requests }),
  };
}

/** In messages; quoting costs every pod with definitions 0.3 ms. */
function labelOf(key: string): string {
  return `network-attachment-definition ${quote(key)}`;
}

function definitionList(
  key: string,
  name: string,
  config: string,
  context: SelectionContext,
): NetworkConfigList {
  try {
    if (config.trim() === "") return nodeList(name, context);
    const list = parseConfig(config, name);
    requireAllowedPlugins(list, context.config);
    return list;
  } catch (cause) {
    const code =
      cause instanceof CniError ? cause.code : Code.invalidNetworkConfig;
    throw new CniError(code, `${labelOf(key)}: ${messageOf(cause)}`, { cause });
  }
}

/** The node's network of the definition's name; Multus' directory comes second. */
function nodeList(name: string, context: SelectionContext): NetworkConfigList {
  const { config, networks } = context;
  const directories: string[] = [];
  for (const from of networkDirectories(context)) {
    directories.push(from.confDir);
    const candidate = findByName(from, name);
    if (!candidate) continue;
    requireAllowed(name, candidate, from, config, networks);
    return candidate.list;
  }
  throw new Error(
    `spec.config is empty and no network of ${directories.join(" or ")} has its name`,
  );
}

/** The second directory is not read if the first has the network. */
function* networkDirectories({
  networks,
  multusNetworks,
}: SelectionContext): Generator<Networks> {
  yield networks;
  const second = multusNetworks?.();
  if (second) yield second;
}

/** The limit is that of a record (state.md "What ADD writes, DEL reads"). */
const maxBytes = 256 << 10;

function parseConfig(config: string, name: string): NetworkConfigList {
  try {
    if (isLonger(config, maxBytes))
      throw new Error(`larger than ${maxBytes >> 10} KiB`);
    const value = parseJson(config);
    if (!isObject(value)) throw new Error(mismatch("an object", value));
    const list = parseAnyConf(value, name);
    const problem = networkNameProblem(list.name);
    if (problem) throw new Error(problem);
    return list;
  } catch (cause) {
    throw new Error(`spec.config: ${messageOf(cause)}`, { cause });
  }
}

/**
 * The keys with which plugins for devices find their device; only in the first
 * plugin, as in Multus.
 */
function withDevice(
  plugin: PluginConf,
  device: Device | undefined,
): PluginConf {
  return device?.resource !== undefined
    ? { ...plugin, deviceID: device.id, pciBusID: device.id }
    : plugin;
}

/** `cni-args` in `args.cni` of each plugin; the pod's value wins. */
function withArgs(
  plugin: PluginConf,
  cniArgs: Readonly<Record<string, unknown>> | undefined,
): PluginConf {
  if (!cniArgs) return plugin;
  const args = own(plugin, "args");
  const cni = own(args, "cni");
  return {
    ...plugin,
    args: {
      ...(isObject(args) ? args : {}),
      cni: { ...(isObject(cni) ? cni : {}), ...cniArgs },
    },
  };
}

/** The element's part of `runtimeConfig`, by capability. */
function elementArgs(
  element: NetworkSelectionElement,
  device: Device | undefined,
): Record<string, unknown> {
  const { ips, mac, infinibandGuid, portMappings, bandwidth } = element;
  return omitUndefined<Record<string, unknown>>({
    ips,
    mac,
    infinibandGUID: infinibandGuid,
    portMappings,
    bandwidth,
    deviceID: device?.id,
  });
}

/** An allotted device is also in the configuration, so plugins need not declare `deviceID`. */
function requireCapabilities(
  key: string,
  { plugins }: NetworkConfigList,
  capabilityArgs: Readonly<Record<string, unknown>>,
  { config, warn }: SelectionContext,
): void {
  const isConfigured = own(plugins[0], "deviceID") !== undefined;
  for (const capability of Object.keys(capabilityArgs)) {
    if (plugins.some((plugin) => declares(plugin, capability))) continue;
    if (capability === "deviceID" && isConfigured) continue;
    const problem = `${labelOf(key)}: ${quote(capability)} is requested, but no plugin declares that capability`;
    if (config.strict) throw invalidConfig(problem);
    warn?.(problem);
  }
}

/** CNI_ARGS with the keys of older plugins; with `IgnoreUnknown` the others do not fail. */
function attachmentArgs(
  args: string,
  { ips, mac }: NetworkSelectionElement,
  { plugins }: NetworkConfigList,
): string {
  if (!ips && !mac) return args;
  const added: [key: string, value: string][] = [];
  // A plugin that declares `ips` gets all of them by capability; host-local refuses
  // several in `IP`.
  const isDeclared = plugins.some((plugin) => declares(plugin, "ips"));
  if (ips && (!isDeclared || ips.length === 1))
    added.push(["IP", ips.join(",")]);
  if (mac) added.push(["MAC", mac]);
  if (added.length > 0) added.unshift(["IgnoreUnknown", "1"]);
  const replaced = new Set(added.map(([key]) => key));
  if (ips) replaced.add("IP");
  const kept = parseCniArgs(args).filter(([key]) => !replaced.has(key));
  return formatCniArgs([...kept, ...added]);
}
