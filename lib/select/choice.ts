/**
 * The choice of a pod: the networks that its annotations and the node's
 * configuration name, in order, each with its interface (selection.md §2, §3, §6).
 * Pure, but for the files of the networks it names. Everything that needs no
 * definition is refused here, before the API server is asked for one.
 */
import { invalidConfig } from "../cni/error.ts";
import { own } from "../cni/json.ts";
import { plain, quote } from "../linux/text.ts";
import {
  type Annotations,
  cniAnnotation,
  defaultNetworkAnnotation,
  logicalAnnotation,
  networksAnnotation,
} from "./attachment.ts";
import { maxAttachments } from "./cni-annotation.ts";
import { nameInterfaces } from "./interface-names.ts";
import { cniNetworks } from "./named-network.ts";
import { type NodeNetwork, describeMatch } from "./node-networks.ts";
import { defaultNetworks } from "./default-network.ts";
import { type NamedNetwork, requireServedOnce } from "./policy.ts";
import { joined } from "./problem-list.ts";
import type { SelectionContext } from "./selection-context.ts";
import {
  type DefinitionReference,
  references,
} from "./definition-references.ts";

export interface Choice {
  /** In the order of execution. */
  elements: readonly ChoiceElement[];
  /** The index of the element on CNI_IFNAME. */
  primary: number;
  /** The definitions among the elements. */
  definitions: readonly DefinitionReference[];
  /**
   * Whether the pod uses the NPWG standard, which reports the status of a single network
   * too (selection.md §7).
   */
  isNpwg: boolean;
}

/** One network, of the node or of a definition, and its interface. */
export type ChoiceElement =
  | { ifname: string; node: NodeNetwork; definition?: undefined }
  | { ifname: string; definition: DefinitionReference; node?: undefined };

/** Throws 7 for an impossible choice. */
export function parseChoice(
  annotations: Annotations,
  context: SelectionContext,
): Choice {
  const [replacement, ...others] = references(
    annotations,
    defaultNetworkAnnotation,
    context,
  );
  const added = references(annotations, networksAnnotation, context);
  if (others.length > 0)
    throw invalidConfig(
      `annotation ${quote(defaultNetworkAnnotation)} names more than one network`,
    );
  const networks = nodeNetworks(annotations, replacement, context);
  const { elements, primary } = withInterfaces(
    networks,
    replacement,
    added,
    context.ifname,
  );
  const definitions = replacement ? [replacement, ...added] : added;
  const requesting: string[] = [];
  for (const { element, key } of definitions)
    if (element.defaultRoute) requesting.push(key);
  requireOneDefaultRoute(requesting);
  if (networks.length > 1)
    requireServedOnce(namedNetworks(elements), context.config);
  const isNpwg =
    Object.hasOwn(annotations, networksAnnotation) ||
    Object.hasOwn(annotations, defaultNetworkAnnotation);
  return { elements, primary, definitions, isNpwg };
}

/** The choice with its only network of the node replaced. */
export function withNetwork(choice: Choice, network: NodeNetwork): Choice {
  const elements = choice.elements.map((element) =>
    element.node ? { ...element, node: network } : element,
  );
  return { ...choice, elements };
}

/** The rule that selected a network, for messages (selection.md §2, §4 to §6). */
export function ruleOf({ node, definition }: ChoiceElement): string {
  if (definition)
    return `${definition.origin} definition ${quote(definition.key)}`;
  const { origin, name, candidate } = node;
  if (name === undefined) return origin;
  return `${origin} ${quote(name)}: ${describeMatch(candidate, name)}`;
}

/**
 * The networks of the node by the rules of selection.md §2, in the order of its table;
 * none where a definition replaces them.
 */
function nodeNetworks(
  annotations: Annotations,
  replacement: DefinitionReference | undefined,
  { config, networks, ifname, given }: SelectionContext,
): readonly NodeNetwork[] {
  const cni = own(annotations, cniAnnotation);
  if (isChoice(cni)) {
    if (replacement)
      throw invalidConfig(
        `annotations "cni" and ${quote(defaultNetworkAnnotation)} exclude each other`,
      );
    return cniNetworks(cni, config, networks);
  }
  const logical = own(annotations, logicalAnnotation);
  if (given) return given;
  if (cni !== undefined && isChoice(logical))
    throw invalidConfig(
      replacement
        ? `annotations "networks" and ${quote(defaultNetworkAnnotation)} exclude each other`
        : `annotation "networks" asks for logical networks, which only the API server knows: ${quote(logical)}`,
    );
  if (!replacement) {
    const reason =
      cni === undefined ? 'no annotation "cni"' : 'annotation "cni" is blank';
    return defaultNetworks(config, networks, reason);
  }
  requireOnPrimary(replacement.element, ifname);
  return [];
}

/** Throws 7 if the definition that replaces the default network requests another interface. */
export function requireOnPrimary(
  { ifname }: { ifname?: string },
  cniIfname: string,
): void {
  if (ifname === undefined || ifname === cniIfname) return;
  throw invalidConfig(
    `annotation ${quote(defaultNetworkAnnotation)} asks for interface ${quote(ifname)}: the default network is attached as ${cniIfname} (CNI_IFNAME)`,
  );
}

/**
 * A blank `cni` that no definition replaces: the pod gets the logical networks of the
 * annotation `networks` (`logical` is its text), or an automatic choice (selection.md §2,
 * rules c and d). undefined for every other pod.
 */
export function blankChoice(
  annotations: Annotations,
): { logical?: string } | undefined {
  const cni = own(annotations, cniAnnotation);
  const isBlank = cni !== undefined && !isChoice(cni);
  if (!isBlank) return undefined;
  const replacement = own(annotations, defaultNetworkAnnotation);
  // An empty array names nothing (selection.md §6).
  if (isChoice(replacement) && !/^\s*\[\s*\]\s*$/.test(replacement))
    return undefined;
  const logical = own(annotations, logicalAnnotation);
  return isChoice(logical) ? { logical } : {};
}

/** Present and not blank. */
export function isChoice(value: unknown): value is string {
  return typeof value === "string" && value.trim() !== "";
}

/** Throws 7 for too many networks, a repeated interface name, and a list without CNI_IFNAME. */
function withInterfaces(
  networks: readonly NodeNetwork[],
  replacement: DefinitionReference | undefined,
  added: readonly DefinitionReference[],
  cniIfname: string,
): Pick<Choice, "elements" | "primary"> {
  const first: (string | undefined)[] = replacement ? [cniIfname] : [];
  for (const { ifname } of networks) first.push(ifname);
  const others: (string | undefined)[] = [];
  for (const { element } of added) others.push(element.ifname);
  if (first.length + others.length > maxAttachments)
    throw invalidConfig(`more than ${maxAttachments} networks are requested`);
  // Most pods have one network.
  const ifnames =
    first.length + others.length === 1
      ? [first[0] ?? cniIfname]
      : nameInterfaces(first, others, cniIfname);
  const primary = ifnames.indexOf(cniIfname);
  if (primary < 0)
    throw invalidConfig(
      `no network is attached as ${plain(cniIfname)} (CNI_IFNAME), where the runtime looks for the pod's address: have ${ifnames.map(plain).join(", ")}`,
    );
  const elements: ChoiceElement[] = [];
  const next = () => ifnames[elements.length] ?? "";
  for (const node of networks) elements.push({ ifname: next(), node });
  if (replacement) elements.push({ ifname: next(), definition: replacement });
  for (const definition of added) elements.push({ ifname: next(), definition });
  return { elements, primary };
}

/**
 * `definitions`: those that request a default route. A pod has one of each family; NPWG
 * does not say which of several requests wins. Throws 7.
 */
export function requireOneDefaultRoute(definitions: readonly string[]): void {
  if (definitions.length > 1)
    throw invalidConfig(
      `"default-route" is requested for more than one network: ${joined(definitions)}`,
    );
}

function namedNetworks(elements: readonly ChoiceElement[]): NamedNetwork[] {
  return elements.flatMap(({ ifname, node }) => {
    if (!node) return [];
    const { list, key } = node.candidate;
    return { list, ifname, name: node.name ?? key };
  });
}
