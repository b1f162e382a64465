/** The input and the output of a selection: annotations and attachments (selection.md). */
import type { NetworkConfigList } from "../cni/conflist.ts";

/** A pod's annotations, from the runtime or the API server. */
export type Annotations = Readonly<Record<string, string>>;

/** The annotations of selection.md §2. */
export const cniAnnotation = "cni";
export const networksAnnotation = "k8s.v1.cni.cncf.io/networks";
export const defaultNetworkAnnotation = "v1.multus-cni.io/default-network";

/** The annotations that choose networks, without the next one. */
export const networkAnnotations: readonly string[] = [
  cniAnnotation,
  networksAnnotation,
  defaultNetworkAnnotation,
];

/** CNI-Genie's logical networks, beside a blank `cni` only (selection.md §2, rule c). */
export const logicalAnnotation = "networks";

/** The annotations of selection.md §7, which genie writes. */
export const preferencesAnnotation = "multi-ip-preferences";
export const statusAnnotation = "k8s.v1.cni.cncf.io/network-status";

/** One network on one interface of the pod, ready to be executed and recorded. */
export interface Attachment {
  list: NetworkConfigList;
  ifname: string;
  /** CNI_ARGS of this attachment. */
  args: string;
  capabilityArgs: Readonly<Record<string, unknown>>;
  /** `<namespace>/<name>` of its NetworkAttachmentDefinition. */
  definition?: string;
  /** The name in the annotation, or the file key of the default network; absent where `list.name` is the same. */
  requested?: string;
  /** The element of an annotation or of a command that names it; records before 0.2.0 have none. */
  element?: Element;
  /** Why it is attached although no annotation names it. */
  origin?: Origin;
  /** Its device; records before 0.2.0 have only `deviceID` in the capability arguments. */
  device?: Device;
  /** When it was added to the running pod; absent if the pod's ADD added it. */
  time?: string;
  /** Its DEL has begun while its pod runs: it counts as missing, and DEL is repeated. */
  detaching?: true;
  /** Verified against the result, and written to the pod's status; not recorded. */
  extras?: Extras;
}

/**
 * An element as a value: a change of a running pod's annotations is found by comparing
 * elements, not places or texts (agent.md).
 */
export interface Element {
  /** The name as it was written, of a network of the node or of a definition. */
  network: string;
  /** The namespace of a definition; absent for a network of the node. */
  namespace?: string;
  /** Present if the element names its interface. */
  interface?: string;
  requests?: Readonly<Record<string, unknown>>;
}

/** "hand": by `genie attach`. The agent detaches no attachment that has an origin. */
export type Origin = "default" | "automatic" | "logical" | "auxiliary" | "hand";

/** Requests that a plugin can ignore without an error (selection.md §6). */
export interface Extras {
  ips?: readonly string[];
  mac?: string;
  /** Gateways of the pod's default routes over this interface. */
  defaultRoute?: readonly string[];
}

/** Allotted by the kubelet; or only named by the element, with an ID alone. */
export interface Device {
  id: string;
  /** Names its information file. */
  resource?: string;
  /** For the operator: "device plugin", or the claim and its driver. */
  source?: string;
  /** Distinguishes the pod's devices: two of them can have the same ID, or be shares of one device. */
  identity?: string;
}

/**
 * The name as people know it: they write `flannel`, and the network's `name` may be
 * `cbr0`. Messages and lists use it; runtimes and network-status have `list.name`.
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

/** Whether an element has `default-route` (selection.md §6). */
export function asksForDefaultRoute(
  attachments: readonly Attachment[],
): boolean {
  for (const { extras } of attachments) if (extras?.defaultRoute) return true;
  return false;
}
