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
  type SelectionContext,
  namedNetwork,
  referencesIn,
} from "./choice.ts";
import { parseNetworks } from "./cni-annotation.ts";
import { elementOf } from "./definition.ts";
import {
  type Networks,
  type NodeNetwork,
  findNetwork,
} from "./node-networks.ts";

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

/** As the record has it; of a record before 0.2.0 without interface and requests. */
export function recordedElement(attachment: Attachment): Element {
  const { element, definition } = attachment;
  if (element) return element;
  const network = displayName(attachment);
  const slash = definition?.indexOf("/");
  return slash === undefined
    ? { network }
    : { network, namespace: definition?.slice(0, slash) ?? "" };
}

/** The `name` of the configuration that a typed name leads to on a node; reads networks when it is first asked. */
export function cniNamesIn(
  read: () => Networks,
): (name: string) => string | undefined {
  let networks: Networks | undefined;
  return (name) => findNetwork((networks ??= read()), name)?.list.name;
}

/**
 * The attachment with the name that was typed. A record before 0.2.0 has only the `name`
 * of a network's configuration: `cniNameOf` tells that of a typed name.
 */
export function withTypedName(
  attachment: Attachment,
  typed: readonly string[],
  cniNameOf: (name: string) => string | undefined,
): Attachment {
  const { element, definition, requested, list } = attachment;
  if (element || definition !== undefined || requested !== undefined)
    return attachment;
  const name = typed.find((one) => cniNameOf(one) === list.name);
  return name === undefined ? attachment : { ...attachment, requested: name };
}

/** Whether both name the same network, whatever its interface and requests are. */
export function isSameNetwork(a: Element, b: Element): boolean {
  return a.network === b.network && a.namespace === b.namespace;
}

/**
 * Whether an attachment is what an element asks for. An element without interface name
 * is content with the one that the record gave it; the requests in a record before
 * 0.2.0 are unknown.
 */
export function isSatisfied(element: Element, attachment: Attachment): boolean {
  return (
    isSameNetwork(element, recordedElement(attachment)) &&
    (element.interface ?? attachment.ifname) === attachment.ifname &&
    (!attachment.element || hasSameRequests(element, attachment.element))
  );
}

/** By value: the order of keys does not matter. */
export function hasSameRequests(a: Element, b: Element): boolean {
  return Bun.deepEquals(a.requests ?? {}, b.requests ?? {});
}
