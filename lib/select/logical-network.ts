/**
 * Logical networks of CNI-Genie (selection.md §9): from the specifications of two
 * custom resources to a network of the node, with their subnet and NIC put into its
 * plugins. Pure, but for the files of the node's networks.
 */
import * as v from "valibot";
import type { NetworkConfigList, PluginConf } from "../cni/conflist.ts";
import { invalidConfig } from "../cni/error.ts";
import { isObject, own, ownText } from "../cni/json.ts";
import { object, parse, text } from "../cni/schema.ts";
import {
  type Cidr,
  cidrContains,
  formatCidr,
  networkOf,
  parseCidr,
  parseIp,
} from "../linux/address.ts";
import { quote } from "../linux/text.ts";
import type { NetworkRequest } from "./cni-annotation.ts";
import type { GenieConfig } from "./config.ts";
import { candidateNamed } from "./named-network.ts";
import type { Networks, NodeNetwork } from "./node-networks.ts";
import { isDnsName } from "./npwg-schema.ts";
import { requireAllowed } from "./policy.ts";

const optionalText = v.nullish(v.string());
const optionalSubnet = v.nullish(
  text((value) => value === "" || parseCidr(value) !== undefined, "a CIDR"),
);

const logicalSpec = object({
  physicalNet: v.nullish(
    text((value) => value === "" || isDnsName(value), "a DNS-1123 subdomain"),
  ),
  plugin: optionalText,
  sub_subnet: optionalSubnet,
});

const sharedStatus = v.nullish(
  object({
    plugin: optionalText,
    subnet: optionalSubnet,
    dedicatedNet: v.nullish(v.boolean()),
  }),
);

const physicalSpec = object({
  refer_nic: optionalText,
  sharedStatus,
  /** CNI-Genie's samples spell it so. */
  sharedStaus: sharedStatus,
});

type LogicalSpec = v.InferInput<typeof logicalSpec>;

/** `key`: `<namespace>/<name>`. Throws 7. */
export function parseLogical(spec: unknown, key: string): LogicalSpec {
  return parse(logicalSpec, spec, invalidSpec(labelOf("logical", key)));
}

function invalidSpec(label: string) {
  return (problem: string) => invalidConfig(`${label}: spec: ${problem}`);
}

interface LogicalNetwork {
  /** An element of the annotation `networks`. */
  request: NetworkRequest;
  key: string;
  logical: LogicalSpec;
  /** The physical network that the logical one names. */
  physical?: { key: string; spec: unknown } | undefined;
}

/** Throws 7. */
export function logicalNetwork(
  { request, key, logical, physical }: LogicalNetwork,
  networks: Networks,
  config: GenieConfig,
): NodeNetwork {
  const label = labelOf("logical", key);
  const physicalLabel = labelOf("physical", physical?.key ?? "");
  const nic =
    physical && parse(physicalSpec, physical.spec, invalidSpec(physicalLabel));
  const shared = nic?.sharedStatus ?? nic?.sharedStaus;
  const isDedicated = shared?.dedicatedNet === true;
  const name = isDedicated ? shared.plugin : logical.plugin;
  if (!name)
    throw invalidConfig(
      isDedicated
        ? `${physicalLabel}: it is dedicated and names no plugin`
        : `${label}: it names no plugin`,
    );
  const candidate = candidateNamed(name, label, config, networks);
  requireAllowed(name, candidate, networks, config, networks);
  const outer = shared?.subnet;
  const inner = logical.sub_subnet || outer;
  if (inner && outer) requireInside(label, inner, outer);
  let list = candidate.list;
  if (inner) list = withSubnet(label, list, inner);
  if (nic?.refer_nic) list = withMaster(list, nic.refer_nic);
  const details = [
    physical && physicalLabel,
    inner && `subnet ${inner}`,
  ].filter(Boolean);
  const suffix = details.length > 0 ? ` (${details.join(", ")})` : "";
  const origin = `annotation "networks" names ${label}${suffix} of`;
  return {
    candidate: { ...candidate, list },
    origin,
    ...request,
    name,
    chosenAs: "logical",
  };
}

function requireInside(label: string, inner: string, outer: string): void {
  const [subnet, range] = [cidrOf(inner), cidrOf(outer)];
  if (cidrContains(range, subnet.ip) && subnet.prefix >= range.prefix) return;
  throw invalidConfig(
    `${label}: subnet ${inner} is outside of the physical network's subnet ${outer}`,
  );
}

/** The prefix in a text that the schema accepted. */
function cidrOf(subnet: string): Cidr {
  const cidr = parseCidr(subnet);
  if (!cidr) throw invalidConfig(`expected a CIDR, got ${quote(subnet)}`);
  return cidr;
}

/** The IPAM of the first plugin gets the subnet in place of its own ranges. Throws 7 for one that takes none. */
function withSubnet(
  label: string,
  list: NetworkConfigList,
  subnet: string,
): NetworkConfigList {
  const [first, ...others] = list.plugins;
  if (!first || !takesSubnet(first))
    throw invalidConfig(
      `${label}: the IPAM of network ${quote(list.name)} takes no subnet: expected host-local or weave-net`,
    );
  const replaced = configuredSubnets(ipamOf(first));
  const { ranges: _ranges, ...ipam } = ipamOf(first);
  // host-local refuses host bits.
  const cidr = networkOf(cidrOf(subnet));
  // Addresses outside of the new subnet are useless.
  for (const key of ["rangeStart", "rangeEnd", "gateway"]) {
    const ip = parseIp(ownText(ipam, key) ?? "");
    if (!ip || !cidrContains(cidr, ip)) delete ipam[key];
  }
  const routes = own(ipam, "routes");
  if (Array.isArray(routes))
    ipam["routes"] = routes.map((route: unknown) =>
      withReachableGateway(route, cidr, replaced),
    );
  const plugin = { ...first, ipam: { ...ipam, subnet: formatCidr(cidr) } };
  return { ...list, plugins: [plugin, ...others] };
}

/** A route whose gateway is in a replaced subnet uses the gateway of the new subnet. */
function withReachableGateway(
  route: unknown,
  subnet: Cidr,
  replaced: readonly Cidr[],
): unknown {
  const ip = parseIp(ownText(route, "gw") ?? "");
  if (!ip || !isObject(route) || cidrContains(subnet, ip)) return route;
  if (!replaced.some((cidr) => cidrContains(cidr, ip))) return route;
  const { gw: _gateway, ...others } = route;
  return others;
}

/** The subnets that `ipam` has now; host-local has them in `subnet` and `ranges`. */
function configuredSubnets(ipam: Record<string, unknown>): Cidr[] {
  const ranges = own(ipam, "ranges");
  const sets: unknown[] = Array.isArray(ranges) ? ranges : [];
  return [ipam, ...sets.flat()].flatMap(
    (range) => parseCidr(ownText(range, "subnet") ?? "") ?? [],
  );
}

function takesSubnet(plugin: PluginConf): boolean {
  const type = own(ipamOf(plugin), "type");
  if (type === "host-local" || type === "weave-ipam") return true;
  // Weave's plugin is its own IPAM plugin.
  return (
    plugin.type === "weave-net" && (type === undefined || type === "weave-net")
  );
}

function ipamOf(plugin: PluginConf): Record<string, unknown> {
  const ipam = own(plugin, "ipam");
  return isObject(ipam) ? ipam : {};
}

const withMasters = new Set(["macvlan", "ipvlan", "vlan"]);

/** The NIC for plugins that need one and name none. */
function withMaster(
  list: NetworkConfigList,
  master: string,
): NetworkConfigList {
  const plugins = list.plugins.map((plugin) =>
    withMasters.has(plugin.type) && !own(plugin, "master")
      ? { ...plugin, master }
      : plugin,
  );
  return { ...list, plugins };
}

function labelOf(kind: "logical" | "physical", key: string): string {
  return `${kind} network ${quote(key)}`;
}
