/**
 * From a choice and its definitions to the executed attachments (selection.md §3,
 * §6). Pure, but for the files of the node's networks.
 */
import { Code, CniError } from "../cni/error.ts";
import { type Attachment, displayName } from "./attachment.ts";
import type { Choice } from "./choice.ts";
import type { DefinitionReference } from "./definition-references.ts";
import type { SelectionContext } from "./selection-context.ts";
import type { NodeNetwork } from "./node-networks.ts";
import { type NamedNetwork, requireServedOnce } from "./policy.ts";

/** The network of a definition that a choice names. Throws 7. */
export type NetworkOfDefinition = (
  reference: DefinitionReference,
) => Omit<Attachment, "ifname">;

/** The attachments of a choice, in its order. Throws 7. */
export function resolve(
  { elements }: Choice,
  context: SelectionContext,
  networkOf?: NetworkOfDefinition,
): Attachment[] {
  const { config } = context;
  const attachments: Attachment[] = [];
  for (const { ifname, node, definition } of elements) {
    const network = node
      ? nodeAttachment(node, context)
      : networkOf?.(definition);
    if (!network)
      throw new CniError(Code.internal, `no definition ${definition?.key}`);
    // The runtime's own port mappings and bandwidth go to the primary (NPWG
    // §7.5).
    const runtimeConfig = ifname === context.ifname ? config.runtimeConfig : {};
    const capabilityArgs = withRequests(runtimeConfig, network.capabilityArgs);
    const { list, ...rest } = network;
    attachments.push({ list, ifname, ...rest, capabilityArgs });
  }
  if (networkOf) {
    const named: NamedNetwork[] = [];
    for (const one of attachments) {
      const { list, ifname } = one;
      named.push({ list, ifname, name: displayName(one) });
    }
    requireServedOnce(named, config);
  }
  return attachments;
}

/** The runtime's arguments and an element's. Ports are joined: the runtime's are the pod's `hostPort`. */
function withRequests(
  runtimeConfig: Readonly<Record<string, unknown>>,
  requests: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const args = { ...runtimeConfig, ...requests };
  const key = "portMappings";
  const [own, more] = [runtimeConfig[key], requests[key]];
  if (Array.isArray(own) && Array.isArray(more)) {
    const ports: unknown[] = own;
    args[key] = ports.concat(more);
  }
  return args;
}

function nodeAttachment(
  { candidate: { list, key }, name = key, element, chosenAs }: NodeNetwork,
  { args }: SelectionContext,
): Omit<Attachment, "ifname"> {
  const requested = name === list.name ? {} : { requested: name };
  const named = element ? { element } : { origin: chosenAs ?? "default" };
  return { list, args, capabilityArgs: {}, ...requested, ...named };
}
