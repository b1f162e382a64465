/**
 * From a network selection element and its definition to what is executed
 * (selection.md §6): the configuration list, the attachment's own arguments, what
 * the answer is held against. Pure: the definitions have been fetched.
 */
import { formatCniArgs, parseCniArgs } from "../cni/args.ts";
import {
  type NetworkConfigList,
  type PluginConf,
  parseAnyConf,
} from "../cni/conflist.ts";
import { Code, CniError, messageOf, quote } from "../cni/error.ts";
import { isObject, own, parseJson } from "../cni/json.ts";
import { declares } from "../cni/network.ts";
import type { GenieConfig } from "./config.ts";
import type { NetworkSelectionElement } from "./element.ts";
import { type Networks, executes } from "./resolve.ts";
import type { Asked, RequestedNetwork } from "./select.ts";

/** A NetworkAttachmentDefinition as far as it decides anything. */
export interface Definition {
  namespace: string;
  name: string;
  /** `spec.config`, empty when there is none. */
  config: string;
}

/** The device of an element: allotted by the kubelet for a resource, or just named. */
export interface Device {
  id: string;
  resource?: string;
}

export interface ElementContext {
  config: GenieConfig;
  networks: Networks;
  ownTypes: readonly string[];
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
    args: attachmentArgs(context.args, element),
    // What deals with it is loaded for who asks for something.
    ...(Object.keys(asked).length > 0 && { asked }),
  };
}

/** `spec.config`, else the file of the node whose network has the definition's name. */
function definitionList(
  definition: Definition,
  context: ElementContext,
): NetworkConfigList {
  const label = `${definition.namespace}/${definition.name}`;
  const fail = (problem: string, cause?: unknown): never => {
    throw new CniError(
      Code.invalidNetworkConfig,
      `network-attachment-definition ${quote(label)}: ${problem}`,
      { cause },
    );
  };
  if (definition.config.trim() === "") {
    const found = context.networks.candidates.find(
      ({ list }) => list.name === definition.name,
    );
    return (
      found?.list ??
      fail(
        `spec.config is empty and no network of ${context.networks.confDir} has its name`,
      )
    );
  }
  let list: NetworkConfigList;
  try {
    list = parseSpecConfig(definition);
  } catch (cause) {
    return fail(`spec.config: ${messageOf(cause)}`, cause);
  }
  const { allowedPlugins } = context.config;
  for (const plugin of list.plugins) {
    if (executes(plugin, context.ownTypes))
      fail(`plugin ${quote(plugin.type)} would execute genie again`);
    const refused =
      allowedPlugins && refusedType(plugin, new Set(allowedPlugins));
    if (refused !== undefined)
      fail(
        `plugin ${quote(refused)} is not allowed on this node: allowedPlugins has ${allowedPlugins?.join(", ") || "none"}`,
      );
  }
  return list;
}

function parseSpecConfig({ config, name }: Definition): NetworkConfigList {
  const value = parseJson(config);
  if (!isObject(value)) throw new Error("expected an object");
  return parseAnyConf(value, name);
}

/** The type of a plugin, or of one that it delegates to, outside of the allowed ones. */
function refusedType(
  plugin: unknown,
  allowed: ReadonlySet<string>,
): string | undefined {
  if (!isObject(plugin)) return undefined;
  const type = own(plugin, "type");
  if (typeof type === "string" && !allowed.has(type)) return type;
  for (const key of ["delegates", "delegate", "plugins"]) {
    for (const nested of [own(plugin, key)].flat()) {
      const refused = refusedType(nested, allowed);
      if (refused !== undefined) return refused;
    }
  }
  return undefined;
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
): string {
  const added: [string, string][] = [];
  if (ips) added.push(["IP", ips.join(",")]);
  if (mac) added.push(["MAC", mac]);
  if (added.length === 0) return args;
  added.unshift(["IgnoreUnknown", "1"]);
  const replaced = new Set(added.map(([key]) => key));
  return formatCniArgs([
    ...parseCniArgs(args).filter(([key]) => !replaced.has(key)),
    ...added,
  ]);
}
