/**
 * One network for a running pod, as `genie attach` and the agent name it (agent.md), and
 * the comparison of elements with attachments. Pure, but for the files of the node's
 * networks.
 */
import { invalidConfig } from "../cni/error.ts";
import { quote } from "../linux/text.ts";
import { type Attachment, type Element, displayName } from "./attachment.ts";
import {
  type DefinitionReference,
  referencesIn,
} from "./definition-references.ts";
import type { SelectionContext } from "./selection-context.ts";
import { parseNetworks } from "./cni-annotation.ts";
import type { GenieConfig } from "./config.ts";
import { elementOf } from "./definition.ts";
import { isDefaultName, namedNetwork } from "./named-network.ts";
import {
  type Networks,
  type NodeNetwork,
  findNetwork,
} from "./node-networks.ts";
import { defaultsOrNone } from "./default-network.ts";

export type Addition = { element: Element } & (
  | { node: NodeNetwork; definition?: undefined }
  | { definition: DefinitionReference; node?: undefined }
);

/**
 * A network of the node in the syntax of `cni`, a `namespace/definition`, each perhaps
 * with `@interface`, or one JSON element. Throws 7.
 */
export function parseAddition(
  text: string,
  context: SelectionContext,
): Addition {
  const source = "network";
  if (text.includes("{") || text.includes("/")) {
    const origin = "it is";
    const found = referencesIn(text, context, { source, origin });
    const definition = onlyOne(found, text);
    const { namespace, element } = definition;
    return { element: elementOf(namespace, element), definition };
  }
  const request = onlyOne(parseNetworks(source, text), text);
  const { config, networks } = context;
  const node = namedNetwork(request, source, config, networks);
  return { element: node.element ?? { network: request.name }, node };
}

function onlyOne<T>([only, ...others]: readonly T[], text: string): T {
  if (only !== undefined && others.length === 0) return only;
  throw invalidConfig(`expected one network, got ${quote(text)}`);
}

/** The element of a recorded attachment; without interface and requests in a record before 0.2.0. */
export function recordedElement(attachment: Attachment): Element {
  const { element, definition } = attachment;
  if (element) return element;
  const network = displayName(attachment);
  const slash = definition?.indexOf("/");
  return slash === undefined
    ? { network }
    : { network, namespace: definition?.slice(0, slash) ?? "" };
}

/** The meaning of network names on this node now. */
export interface TypedNames {
  /** Whether it is the name of the default network (selection.md §4). */
  isDefault(name: string): boolean;
  /** The file of its network; undefined for a name that means no network, or several. */
  fileOf(name: string): string | undefined;
}

/** Calls `read` at first use. */
export function typedNames(
  config: GenieConfig,
  read: () => Networks,
): TypedNames {
  let known: Networks | undefined;
  const networks = () => (known ??= read());
  const isDefault = (name: string) => isDefaultName(name, networks());
  return {
    isDefault,
    fileOf(name) {
      if (!isDefault(name)) return findNetwork(networks(), name)?.file;
      const [only, another] = defaultsOrNone(config, networks());
      return another ? undefined : only?.candidate.file;
    },
  };
}

/**
 * Whether an attachment is of the network that an element names; interface and requests may
 * differ. A network of the node has several names (selection.md §4). Two names without a file
 * may be names of one removed file, so they count as equal.
 */
export function isOfNetwork(
  { network, namespace }: Element,
  attachment: Attachment,
  names: TypedNames,
): boolean {
  const recorded = recordedElement(attachment);
  if (namespace !== recorded.namespace) return false;
  if (network === recorded.network) return true;
  if (namespace !== undefined) return false;
  return (
    (attachment.origin === "default" && names.isDefault(network)) ||
    names.fileOf(network) === names.fileOf(recorded.network)
  );
}

/** Also on its interface. An element without an interface name matches any interface. */
export function isOnInterface(
  element: Element,
  attachment: Attachment,
  names: TypedNames,
): boolean {
  return (
    isOfNetwork(element, attachment, names) &&
    (element.interface ?? attachment.ifname) === attachment.ifname
  );
}

/**
 * Whether an attachment is what an element asks for; the requests in a record before
 * 0.2.0 are unknown.
 */
export function isSatisfied(
  element: Element,
  attachment: Attachment,
  names: TypedNames,
): boolean {
  return (
    isOnInterface(element, attachment, names) &&
    (!attachment.element || hasSameRequests(element, attachment.element))
  );
}

/** Compares the values: neither the order of keys nor the case of addresses matters. */
export function hasSameRequests(a: Element, b: Element): boolean {
  return Bun.deepEquals(comparable(a), comparable(b));
}

function comparable({ requests = {} }: Element): Record<string, unknown> {
  const compared: Record<string, unknown> = { ...requests };
  for (const key of ["mac", "infinibandGuid", "ips", "defaultRoute"])
    if (key in compared) compared[key] = lowerCase(compared[key]);
  return compared;
}

/** Of a string, or of each string of a list. */
function lowerCase(value: unknown): unknown {
  if (typeof value === "string") return value.toLowerCase();
  return Array.isArray(value) ? value.map(lowerCase) : value;
}

/** The name in annotations and commands: that of a definition has its namespace. */
export function requestedNetwork(attachment: Attachment): string {
  return attachment.definition ?? displayName(attachment);
}
