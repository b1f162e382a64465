/**
 * Which networks a pod gets: annotations and configuration in, the ordered list
 * of attachments out (selection.md §2–§5). Pure: the same inputs give the same
 * list or the same error, and nothing has been executed by then.
 */
import { parseIp } from "../cni/address.ts";
import type { NetworkConfigList } from "../cni/conflist.ts";
import { Code, CniError, quote } from "../cni/error.ts";
import { own } from "../cni/json.ts";
import {
  type NetworkRequest,
  maxAttachments,
  parseNetworks,
} from "./annotation.ts";
import type { GenieConfig } from "./config.ts";
import { InterfaceNames, nameInterfaces } from "./ifname.ts";
import {
  type Candidate,
  type Networks,
  findNetwork,
  firstNetwork,
  requireNetwork,
} from "./resolve.ts";

/** A pod's annotations, as the runtime or the API server gave them. */
export type Annotations = Readonly<Record<string, string>>;

/** One network for one interface of the pod, ready to be executed and to be recorded. */
export interface Attachment {
  list: NetworkConfigList;
  ifname: string;
  /** CNI_ARGS of this attachment. */
  args: string;
  capabilityArgs: Readonly<Record<string, unknown>>;
  /** `<namespace>/<name>` of the NetworkAttachmentDefinition it comes from. */
  definition?: string;
  /** The name that was typed, or the file key of the default network; absent where `list.name` is the same. */
  requested?: string;
  /** What the pod asked for, to be held against the result. */
  asked?: Asked;
}

/** Requests that a plugin may ignore without saying so (selection.md §6). */
export interface Asked {
  ips?: readonly string[];
  mac?: string;
  /** Gateways of the pod's default routes over this interface. */
  defaultRoute?: readonly string[];
  /** Whose device information goes to the pod's status. */
  device?: { id: string; resource?: string };
}

/** A network that was found for a request; its interface may have no name yet. */
export interface RequestedNetwork {
  list: NetworkConfigList;
  ifname?: string;
  /** CNI_ARGS instead of the request's. */
  args?: string;
  /** Its own, beside the runtime's for the primary. */
  capabilityArgs?: Readonly<Record<string, unknown>>;
  definition?: string;
  /** The name that was typed, or the file key. */
  requested?: string;
  asked?: Asked;
}

/**
 * How people know the network: they type `flannel`, and its `name` may be `cbr0`.
 * Messages and lists show this one; runtimes and network-status have `list.name`.
 */
export function displayName({
  requested,
  definition,
  list,
}: Pick<Attachment, "requested" | "definition" | "list">): string {
  if (requested !== undefined) return requested;
  if (definition === undefined) return list.name;
  return definition.slice(definition.indexOf("/") + 1);
}

export interface Selection {
  annotations: Annotations;
  config: GenieConfig;
  networks: Networks;
  /** CNI_IFNAME: the attachment of that name is the primary. */
  ifname: string;
  /** CNI_ARGS of the request. */
  args: string;
  /** Of `v1.multus-cni.io/default-network`: takes the place of the default network. */
  defaultNetwork?: RequestedNetwork | undefined;
  /** Of `k8s.v1.cni.cncf.io/networks`: come after all others. */
  added?: readonly RequestedNetwork[];
}

/** Whether the pod uses the NPWG standard: only then is its code loaded. */
export function asksForDefinitions(annotations: Annotations): boolean {
  return (
    Object.hasOwn(annotations, networksAnnotation) ||
    Object.hasOwn(annotations, defaultNetworkAnnotation)
  );
}

/** Whether the pod names networks itself: without it, it gets the default ones whatever else it says. */
export function choosesAny(annotations: Annotations): boolean {
  return (
    Object.hasOwn(annotations, cniAnnotation) || asksForDefinitions(annotations)
  );
}

/** Whether the pod is told what it got: of several networks, and who uses the NPWG standard (selection.md §7). */
export function isWrittenBack(
  attachments: readonly Attachment[],
  annotations: Annotations,
): boolean {
  return attachments.length > 1 || asksForDefinitions(annotations);
}

/** Throws 7 for a choice that cannot be met. */
export function selectAttachments(selection: Selection): Attachment[] {
  const { ifname, added = [] } = selection;
  const requests = requestedNetworks(selection);
  if (requests.length + added.length > maxAttachments) {
    throw invalid(`more than ${maxAttachments} networks are requested`);
  }
  // One network is the usual case.
  const ifnames =
    requests.length + added.length === 1
      ? [requests[0]?.ifname ?? ifname]
      : namesOf(requests, added, ifname);
  if (!ifnames.includes(ifname)) {
    throw invalid(
      `no network is attached as ${ifname} (CNI_IFNAME), where the runtime looks for the pod's address: have ${ifnames.join(", ")}`,
    );
  }
  if (selection.defaultNetwork || added.length > 0)
    requireOneDefaultRoute([...requests, ...added]);
  const attachments: Attachment[] = [];
  for (const [i, request] of [...requests, ...added].entries()) {
    attachments.push(attachmentOf(request, ifnames[i] ?? "", selection));
  }
  return attachments;
}

function attachmentOf(
  request: RequestedNetwork,
  ifname: string,
  selection: Selection,
): Attachment {
  const {
    list,
    args = selection.args,
    capabilityArgs = {},
    definition,
    requested,
    asked,
  } = request;
  // The runtime's own port mappings and bandwidth are the primary's (NPWG §7.5).
  const runtimes =
    ifname === selection.ifname ? selection.config.runtimeConfig : {};
  return {
    list,
    ifname,
    args,
    capabilityArgs: { ...runtimes, ...capabilityArgs },
    ...(definition !== undefined && { definition }),
    ...(requested !== undefined && requested !== list.name && { requested }),
    ...(asked && { asked }),
  };
}

/** A pod has one default route of a family; NPWG leaves open which of several requests wins. */
function requireOneDefaultRoute(requests: readonly RequestedNetwork[]): void {
  const routed: RequestedNetwork[] = [];
  for (const request of requests) {
    if (request.asked?.defaultRoute) routed.push(request);
  }
  if (routed.length === 0) return;
  if (routed.length > 1) {
    throw invalid(
      `"default-route" is requested for more than one network: ${routed.map(({ definition }) => definition).join(", ")}`,
    );
  }
  const gateways = routed[0]?.asked?.defaultRoute ?? [];
  const families = gateways.map((gateway) => parseIp(gateway)?.family);
  if (new Set(families).size < families.length) {
    throw invalid(
      `"default-route" names two gateways of one address family: ${gateways.join(", ")}`,
    );
  }
}

function invalid(message: string): CniError {
  return new CniError(Code.invalidNetworkConfig, message);
}

/** The default network: `default_plugin`, else the first of the folder. Throws 7. */
export function defaultNetworks(
  config: GenieConfig,
  networks: Networks,
): RequestedNetwork[] {
  if (config.defaultPlugin.trim() === "") {
    const { list, key } = firstNetwork(networks);
    return [{ list, requested: key }];
  }
  const requests: RequestedNetwork[] = [];
  const source = 'configuration key "default_plugin"';
  for (const element of parseNetworks(source, config.defaultPlugin)) {
    requests.push(found(element, requireNetwork(networks, element.name)));
  }
  return requests;
}

/** Explicit names are reserved first, those of `added` included (selection.md §3, §6). Throws 7. */
export function namesOf(
  requests: readonly { ifname?: string }[],
  added: readonly { ifname?: string }[],
  cniIfname: string,
): string[] {
  const names = new InterfaceNames();
  for (const { ifname } of [...requests, ...added]) {
    if (ifname !== undefined) names.reserve(ifname);
  }
  const requested: (string | undefined)[] = [];
  for (const { ifname } of requests) requested.push(ifname);
  const named = nameInterfaces(requested, cniIfname, names);
  for (const [i, { ifname }] of added.entries()) {
    named.push(ifname ?? names.lowest("net", i + 1));
  }
  return named;
}

/** The annotations of selection.md §2. */
export const cniAnnotation = "cni";
export const networksAnnotation = "k8s.v1.cni.cncf.io/networks";
export const defaultNetworkAnnotation = "v1.multus-cni.io/default-network";

/** The rules of selection.md §2, in the order of its table. */
function requestedNetworks(selection: Selection): RequestedNetwork[] {
  const { annotations, config, networks, defaultNetwork, ifname } = selection;
  const cni = own(annotations, cniAnnotation);
  if (isChoice(cni)) {
    if (defaultNetwork) {
      throw invalid(
        `annotations "cni" and ${quote(defaultNetworkAnnotation)} exclude each other`,
      );
    }
    return chosenNetworks(cni, config, networks);
  }
  const logical = own(annotations, "networks");
  if (cni !== undefined && isChoice(logical)) {
    throw invalid(
      `annotation "networks" with an empty annotation "cni" asks for logical networks, which are not supported: ${quote(logical)}`,
    );
  }
  if (!defaultNetwork) return defaultNetworks(config, networks);
  const { ifname: requested = ifname } = defaultNetwork;
  if (requested !== ifname) {
    throw invalid(
      `annotation ${quote(defaultNetworkAnnotation)} asks for interface ${quote(requested)}: the default network is attached as ${ifname} (CNI_IFNAME)`,
    );
  }
  return [{ ...defaultNetwork, ifname }];
}

/** Present and not blank. */
export function isChoice(value: unknown): value is string {
  return typeof value === "string" && value.trim() !== "";
}

function chosenNetworks(
  text: string,
  config: GenieConfig,
  networks: Networks,
): RequestedNetwork[] {
  const allowed =
    config.allowedNetworks &&
    allowedNetworks(config, config.allowedNetworks, networks);
  const requests: RequestedNetwork[] = [];
  for (const element of parseNetworks('annotation "cni"', text)) {
    const candidate = requireNetwork(networks, element.name);
    if (allowed && !allowed.has(candidate.list)) {
      throw invalid(
        `network ${quote(element.name)} is not allowed on this node: allowedNetworks has ${config.allowedNetworks?.join(", ") || "none"}`,
      );
    }
    requests.push(found(element, candidate));
  }
  return requests;
}

/** What `cni` may select where not everything is; the default is always allowed (selection.md §5). */
function allowedNetworks(
  config: GenieConfig,
  names: readonly string[],
  networks: Networks,
): ReadonlySet<NetworkConfigList> {
  const allowed = new Set<NetworkConfigList>();
  for (const name of names) {
    const candidate = findNetwork(networks, name);
    if (candidate) allowed.add(candidate.list);
  }
  for (const { list } of defaultsOrNone(config, networks)) allowed.add(list);
  return allowed;
}

/** A node without a default network can still have allowed ones. */
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

function found(element: NetworkRequest, { list }: Candidate): RequestedNetwork {
  const { name: requested, ifname } = element;
  return ifname === undefined
    ? { list, requested }
    : { list, requested, ifname };
}
