/**
 * The pod's status as text: the annotations of CNI-Genie and of the Network Plumbing
 * Working Group, from attachments and their results (selection.md §7). Pure; `write-back`
 * writes them.
 */
import {
  gatewayOf,
  defaultRoutes,
  otherPodInterfaces,
  podInterface,
} from "../cni/result-query.ts";
import {
  type Interface,
  type IpConfig,
  type ModernResult,
  type Result,
  modernResult,
} from "../cni/result.ts";
import { latestVersion } from "../cni/version.ts";
import { formatIp, parseCidr } from "../linux/address.ts";
import {
  type Attachment,
  preferencesAnnotation,
  statusAnnotation,
} from "../select/attachment.ts";

/** Both annotations of selection.md §7, in the order of the attachments. */
export function statusAnnotations(
  attachments: readonly Attachment[],
  results: readonly Result[],
  primary: string,
  devices: ReadonlyMap<string, object> = new Map(),
): Record<string, string> {
  const statuses: NetworkStatus[][] = [];
  for (const attachment of attachments) {
    const result = results[statuses.length];
    statuses.push(networkStatuses(attachment, result, primary, devices));
  }
  return {
    ...(statuses.length > 1 && {
      [preferencesAnnotation]: multiIpPreferences(statuses),
    }),
    [statusAnnotation]: JSON.stringify(statuses.flat()),
  };
}

/** The annotation of CNI-Genie: the first address of each attachment, of its own interface if that has one. */
function multiIpPreferences(statuses: readonly NetworkStatus[][]): string {
  const ips: Record<string, object> = {};
  for (const [i, entries] of statuses.entries()) {
    let ip: string | undefined;
    for (const entry of entries) ip ??= entry.ips[0];
    const address = ip === undefined ? {} : { ip };
    ips[`ip${i + 1}`] = { ...address, interface: entries[0]?.interface };
  }
  return JSON.stringify({ multi_entry: statuses.length, ips });
}

/** NPWG v1.3 §5.2. */
interface NetworkStatus {
  name: string;
  interface: string;
  ips: string[];
  mac?: string;
  mtu?: number;
  default: boolean;
  dns: object;
  "device-info"?: object;
  gateway?: string[];
  "default-route"?: readonly string[];
}

/**
 * The attachment's own entry, also without an interface of its own, then those of the
 * other interfaces that its plugins made in the pod.
 */
function networkStatuses(
  { list, ifname, definition, extras }: Attachment,
  result: Result | undefined,
  primary: string,
  devices: ReadonlyMap<string, object>,
): NetworkStatus[] {
  const modern = modernResult(result ?? { cniVersion: latestVersion });
  const own = podInterface(modern, ifname);
  const gateway = defaultGateways(modern);
  const ips: string[] = [];
  for (const { address } of modern.ips) ips.push(withoutPrefix(address));
  const deviceInfo = devices.get(ifname);
  const status = {
    name: definition ?? list.name,
    interface: ifname,
    ips,
    ...(own?.mac && { mac: own.mac }),
    ...(own?.mtu && { mtu: own.mtu }),
    default: ifname === primary,
    dns: modern.dns,
    ...(deviceInfo && { "device-info": deviceInfo }),
    ...(gateway.length > 0 && { gateway }),
    ...(extras?.defaultRoute && { "default-route": extras.defaultRoute }),
  };
  const others = otherPodInterfaces(modern, own);
  return others.length === 0 ? [status] : separate(status, modern, others);
}

/**
 * An entry for each interface, with its addresses and gateways. As with Multus, the
 * default one of the primary is the first with a gateway: KubeVirt binds the guest of a
 * pod of OVN-Kubernetes, whose namespace has a primary network of its own, to it.
 */
function separate(
  { gateway: gateways = [], ...own }: NetworkStatus,
  { interfaces, ips }: ModernResult,
  others: readonly Interface[],
): NetworkStatus[] {
  const separated = new Set(others);
  /** undefined for the attachment's own. */
  const interfaceOf = (ip: IpConfig | undefined): Interface | undefined => {
    const found = interfaces[ip?.interface ?? -1];
    return found && separated.has(found) ? found : undefined;
  };
  const defaultInterface = interfaceOf(ips.find(({ gateway }) => gateway));
  const addresses = Map.groupBy(ips, interfaceOf);
  const gatewaysBy = Map.groupBy(gateways, (gateway) =>
    interfaceOf(ips.find((ip) => ip.gateway === gateway)),
  );
  const entryOf = (one: Interface | undefined, keys: NetworkStatus) => {
    const gateway = gatewaysBy.get(one);
    const of = addresses.get(one) ?? [];
    return {
      ...keys,
      ips: of.map(({ address }) => withoutPrefix(address)),
      default: own.default && one === defaultInterface,
      ...(gateway && { gateway }),
    };
  };
  const { name, dns } = own;
  return [
    entryOf(undefined, own),
    ...others.map((other) => {
      const { mac, mtu } = other;
      const link = { ...(mac && { mac }), ...(mtu && { mtu }) };
      const keys = { name, interface: other.name, dns, ips: [], ...link };
      return entryOf(other, { ...keys, default: false });
    }),
  ];
}

function defaultGateways(result: ModernResult): string[] {
  const gateways: string[] = [];
  for (const route of defaultRoutes(result)) {
    const gateway = gatewayOf(route, result);
    if (gateway && !gateways.includes(gateway)) gateways.push(gateway);
  }
  return gateways;
}

function withoutPrefix(address: string): string {
  const cidr = parseCidr(address);
  return cidr ? formatIp(cidr.ip) : address;
}
