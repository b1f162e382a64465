/**
 * Which networks a pod gets: annotations and configuration in, the ordered list
 * of attachments out (selection.md §2–§5). Pure: the same inputs give the same
 * list or the same error, and nothing has been executed by then.
 */
import { Code, CniError } from "../cni/error.ts";
import { quote } from "../linux/text.ts";
import { own } from "../cni/json.ts";
import { requireAllowed } from "./allowed-networks.ts";
import {
  type NetworkRequest,
  maxAttachments,
  parseNetworks,
} from "./cni-annotation.ts";
import type {
  Annotations,
  Attachment,
  RequestedNetwork,
} from "./attachment.ts";
import type { GenieConfig } from "./config.ts";
import { defaultNetworks, nodeNetwork } from "./default-networks.ts";
import { InterfaceNames, nameInterfaces } from "./interface-names.ts";
import { joined } from "./problems.ts";
import { requireServedOnce } from "./single-use-plugins.ts";
import { type Networks, findByKey, requireNetwork } from "./resolve.ts";

export {
  type Annotations,
  type Asked,
  type Attachment,
  type RequestedNetwork,
  displayName,
} from "./attachment.ts";
export { defaultNetworks } from "./default-networks.ts";

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
  if (attachments.length > 1)
    requireServedOnce(attachments, selection.config.allowRepeated);
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
  const routed: string[] = [];
  for (const { asked, definition = "" } of requests) {
    if (asked?.defaultRoute) routed.push(definition);
  }
  if (routed.length > 1) {
    throw invalid(
      `"default-route" is requested for more than one network: ${joined(routed)}`,
    );
  }
}

function invalid(message: string): CniError {
  return new CniError(Code.invalidNetworkConfig, message);
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
  refuseSecondPrimary(requested, added, cniIfname);
  const named = nameInterfaces(requested, cniIfname, names);
  for (const [i, { ifname }] of added.entries()) {
    named.push(ifname ?? names.lowest("net", i + 1));
  }
  return named;
}

/** A definition cannot be had on CNI_IFNAME beside the network that is there anyhow; what was meant has an annotation of its own. */
function refuseSecondPrimary(
  requested: readonly (string | undefined)[],
  added: readonly { ifname?: string }[],
  cniIfname: string,
): void {
  if (requested.includes(cniIfname) || !requested.includes(undefined)) return;
  for (const { ifname } of added) {
    if (ifname === cniIfname)
      throw invalid(
        `repeated request for interface name ${quote(cniIfname)}, which the pod's primary network has: annotation ${quote(defaultNetworkAnnotation)} replaces that network`,
      );
  }
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
  const elements = parseNetworks('annotation "cni"', text);
  const requests: RequestedNetwork[] = [];
  for (const element of elements) {
    if (isDefault(element, networks)) {
      const isAlone = elements.length === 1;
      requests.push(...chosenDefault(element, isAlone, config, networks));
      continue;
    }
    const candidate = requireNetwork(networks, element.name);
    const what = `network ${quote(element.name)}`;
    requireAllowed({ what, candidate, from: networks }, config, networks);
    requests.push(nodeNetwork(element, candidate, networks));
  }
  return requests;
}

/** Whether the element means the default network, by which a pod opts out of what its namespace chose (selection.md §4). */
export function isDefault(
  { name }: NetworkRequest,
  networks: Networks,
): boolean {
  return name === "default" && !findByKey(networks, name);
}

/** Alone it is rule b; among others it can stand for one network only. */
function chosenDefault(
  { ifname }: NetworkRequest,
  isAlone: boolean,
  config: GenieConfig,
  networks: Networks,
): RequestedNetwork[] {
  const defaults = defaultNetworks(config, networks);
  if (isAlone && ifname === undefined) return defaults;
  const [only, ...others] = defaults;
  if (!only || others.length > 0) {
    throw invalid(
      `annotation "cni": network "default" stands for ${defaults.length} networks on this node, which can only be requested alone and without an interface name`,
    );
  }
  return [ifname === undefined ? only : { ...only, ifname }];
}
