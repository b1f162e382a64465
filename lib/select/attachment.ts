/**
 * What a selection is made of: the pod's annotations go in, attachments come out
 * (selection.md).
 */
import type { NetworkConfigList } from "../cni/conflist.ts";

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
