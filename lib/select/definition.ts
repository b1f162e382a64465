/**
 * From a network selection element and its definition to what is executed
 * (selection.md §6): the configuration list, the attachment's own arguments, what
 * the answer is held against. Pure: the definitions have been fetched.
 */
import { formatCniArgs, parseCniArgs } from "../cni/args.ts";
import type { NetworkConfigList, PluginConf } from "../cni/conflist.ts";
import { Code, CniError } from "../cni/error.ts";
import { quote } from "../linux/text.ts";
import { isObject, own } from "../cni/json.ts";
import { declares } from "../cni/network.ts";
import type { Asked, RequestedNetwork } from "./attachment.ts";
import {
  type Definition,
  type NodeContext,
  definitionList,
} from "./definition-list.ts";
import type { NetworkSelectionElement } from "./npwg-annotation.ts";

/** The device of an element: allotted by the kubelet for a resource, or just named. */
export interface Device {
  id: string;
  resource?: string;
}

export interface ElementContext extends NodeContext {
  /** CNI_ARGS of the request. */
  args: string;
  /** For what is asked for but cannot be handed over. */
  warn(message: string): void;
}

/** Throws 7 for a definition that cannot be executed or may not be. */
export function requestedNetwork(
  element: NetworkSelectionElement,
  definition: Definition,
  device: Device | undefined,
  context: ElementContext,
): RequestedNetwork {
  const label = `${definition.namespace}/${definition.name}`;
  const base = definitionList(definition, context);
  const plugins: PluginConf[] = [];
  for (const plugin of base.plugins) {
    const isFirst = plugins.length === 0;
    plugins.push(
      withArgs(isFirst ? withDevice(plugin, device) : plugin, element.cniArgs),
    );
  }
  const list = { ...base, plugins };
  const capabilityArgs = elementArgs(element, device);
  requireCapabilities(label, list, capabilityArgs, context);
  const { ips, mac, defaultRoute, ifname } = element;
  const asked: Asked = {
    ...(ips && { ips }),
    ...(mac && { mac }),
    ...(defaultRoute && { defaultRoute }),
    ...(device && { device }),
  };
  return {
    list,
    definition: label,
    ...(ifname !== undefined && { ifname }),
    capabilityArgs,
    args: attachmentArgs(context.args, element, list),
    // What deals with it is loaded for who asks for something.
    ...(Object.keys(asked).length > 0 && { asked }),
  };
}

/** Where device plugins' CNI plugins look for their device: the first of a list, as in Multus. */
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

/** What becomes runtimeConfig, by the name of its capability. */
function elementArgs(
  {
    ips,
    mac,
    infinibandGuid,
    portMappings,
    bandwidth,
  }: NetworkSelectionElement,
  device: Device | undefined,
): Record<string, unknown> {
  return {
    ...(ips && { ips }),
    ...(mac && { mac }),
    ...(infinibandGuid && { infinibandGUID: infinibandGuid }),
    ...(portMappings && { portMappings }),
    ...(bandwidth && { bandwidth }),
    ...(device && { deviceID: device.id }),
  };
}

/** A device of the kubelet is in the configuration as well, so no plugin has to declare it. */
function requireCapabilities(
  label: string,
  list: NetworkConfigList,
  capabilityArgs: Readonly<Record<string, unknown>>,
  { config, warn }: ElementContext,
): void {
  for (const capability of Object.keys(capabilityArgs)) {
    if (list.plugins.some((plugin) => declares(plugin, capability))) continue;
    if (
      capability === "deviceID" &&
      own(list.plugins[0], "deviceID") !== undefined
    )
      continue;
    const problem = `network-attachment-definition ${quote(label)}: ${quote(capability)} is requested, but no plugin declares that capability`;
    if (config.strict) throw new CniError(Code.invalidNetworkConfig, problem);
    warn(problem);
  }
}

/** CNI_ARGS with what older plugins read there; those that do not know it must not fail. */
function attachmentArgs(
  args: string,
  { ips, mac }: NetworkSelectionElement,
  { plugins }: NetworkConfigList,
): string {
  const added: [string, string][] = [];
  const replaced: string[] = [];
  if (ips) {
    replaced.push("IP");
    // Where `ips` is declared all of them are told there, and host-local would
    // refuse an `IP` of several.
    const isTold = plugins.some((plugin) => declares(plugin, "ips"));
    if (!isTold || ips.length === 1) added.push(["IP", ips.join(",")]);
  }
  if (mac) {
    replaced.push("MAC");
    added.push(["MAC", mac]);
  }
  if (added.length > 0) {
    replaced.push("IgnoreUnknown");
    added.unshift(["IgnoreUnknown", "1"]);
  }
  if (replaced.length === 0) return args;
  const kept = parseCniArgs(args).filter(([key]) => !replaced.includes(key));
  return formatCniArgs([...kept, ...added]);
}
