/**
 * The networks that a running pod's annotations name, as values: neither the position nor
 * the text of an element matters (agent.md "Hot attach and detach"). Pure.
 */
import type { V1Pod } from "@kubernetes/client-node";
import { invalidConfig } from "../../cni/error.ts";
import { isObject, own, ownText, parseJson } from "../../cni/json.ts";
import { cut, quote } from "../../linux/text.ts";
import {
  type Annotations,
  type Element,
  cniAnnotation,
  defaultNetworkAnnotation,
  logicalAnnotation,
  networksAnnotation,
} from "../../select/attachment.ts";
import {
  isChoice,
  requireOnPrimary,
  requireOneDefaultRoute,
} from "../../select/choice.ts";
import { maxAttachments, parseNetworks } from "../../select/cni-annotation.ts";
import { elementOf } from "../../select/definition.ts";
import { distinctNames, nameInterfaces } from "../../select/interface-names.ts";
import { parseElements } from "../../select/npwg-annotation.ts";
import { namespacedName } from "../watch/kinds.ts";

/** An element that the annotations name. */
export interface WantedElement {
  element: Element;
  /** The element as an argument of `genie attach`. */
  text: string;
  /** Its 1-based place in its annotation. */
  position: number;
  /** `cni: default` alone, which may be the default network: never attached. */
  isDefault?: true;
}

export interface DesiredNetworks {
  elements: readonly WantedElement[];
  /** `v1.multus-cni.io/default-network`; a bare name has no namespace. */
  replacement?: { network: string; namespace?: string };
  /** Whether an annotation names the pod's first network, other than the default one. */
  isNamed: boolean;
}

/** A network as messages name it. A name of `cni` has any length (selection.md §2). */
export function networkOf({
  namespace,
  network,
}: Pick<Element, "namespace" | "network">): string {
  return cut(namespacedName({ namespace, name: network }), 128);
}

/** Whether the networks of a pod may be changed, as far as the API server knows. */
export function isRunning({ metadata, spec, status }: V1Pod): boolean {
  return (
    spec?.hostNetwork !== true &&
    metadata?.deletionTimestamp === undefined &&
    status?.phase !== "Succeeded" &&
    status?.phase !== "Failed"
  );
}

/**
 * Throws 7 for annotations with which an ADD would fail, whatever the node has.
 * `cniIfname`: the pod's primary interface; undefined if nobody knows it yet.
 */
export function desiredOf(
  annotations: Annotations,
  namespace: string,
  cniIfname?: string,
): DesiredNetworks {
  const cni = own(annotations, cniAnnotation);
  const ofNode = isChoice(cni) ? nodeElements(cni) : [];
  const added = definitionElements(annotations, namespace);
  const elements = [...ofNode, ...added];
  const replacements = elementsIn(annotations, defaultNetworkAnnotation);
  distinctNames(elements.map(({ element }) => element.interface));
  if (cniIfname !== undefined)
    nameInterfaces(
      isChoice(cni) || isLogical(annotations)
        ? ofNode.map(({ element }) => element.interface)
        : [replacements.length > 0 ? cniIfname : undefined],
      added.map(({ element }) => element.interface),
      cniIfname,
    );
  requireOneDefaultRoute(
    elements
      .filter(({ element }) => element.requests?.["defaultRoute"])
      .map(({ element }) => `${element.namespace}/${element.network}`),
  );
  requireOnePrimary(isChoice(cni), replacements.length);
  if (elements.length + (isChoice(cni) ? 0 : 1) > maxAttachments)
    throw invalidConfig(`more than ${maxAttachments} networks are requested`);
  const [first] = replacements;
  if (first && cniIfname !== undefined) requireOnPrimary(first, cniIfname);
  const replacement = first && {
    network: first.name,
    ...(first.namespace !== undefined && { namespace: first.namespace }),
  };
  const isNamed =
    elements.some(
      ({ element, isDefault }) => element.namespace === undefined && !isDefault,
    ) || replacement !== undefined;
  return { elements, isNamed, ...(replacement && { replacement }) };
}

/** Logical networks, whose names nobody knows here (selection.md §2, rule c). */
export function isLogical(annotations: Annotations): boolean {
  return (
    own(annotations, cniAnnotation) !== undefined &&
    isChoice(own(annotations, logicalAnnotation))
  );
}

function nodeElements(text: string): WantedElement[] {
  const requests = parseNetworks('annotation "cni"', text);
  return requests.map(({ name, ifname }, i) => {
    const isDefault =
      name === "default" && ifname === undefined && requests.length === 1;
    return {
      element: {
        network: name,
        ...(ifname !== undefined && { interface: ifname }),
      },
      text: ifname === undefined ? name : `${name}@${ifname}`,
      position: i + 1,
      ...(isDefault && { isDefault }),
    };
  });
}

function elementsIn(annotations: Annotations, annotation: string) {
  const text = ownText(annotations, annotation);
  return text !== undefined
    ? parseElements(`annotation ${quote(annotation)}`, text).elements
    : [];
}

function definitionElements(
  annotations: Annotations,
  podNamespace: string,
): WantedElement[] {
  const elements = elementsIn(annotations, networksAnnotation);
  const entries = jsonEntries(own(annotations, networksAnnotation));
  return elements.map((element, i) => {
    const { name, ifname, namespace = podNamespace } = element;
    const entry = entries?.[i];
    const at = ifname === undefined ? "" : `@${ifname}`;
    return {
      element: elementOf(namespace, element),
      text: isObject(entry)
        ? JSON.stringify(entry)
        : `${namespace}/${name}${at}`,
      position: i + 1,
    };
  });
}

/** The elements of an annotation in JSON, which was parsed before. */
function jsonEntries(text: unknown): unknown[] | undefined {
  if (typeof text !== "string" || !text.includes("{")) return undefined;
  const value = parseJson(text);
  const entries: unknown[] = Array.isArray(value) ? value : [value];
  return entries;
}

/** One annotation at most names the pod's first network (selection.md §2). Throws 7. */
function requireOnePrimary(isNamed: boolean, replacements: number): void {
  const annotation = quote(defaultNetworkAnnotation);
  if (replacements > 1)
    throw invalidConfig(`annotation ${annotation} names more than one network`);
  if (isNamed && replacements > 0)
    throw invalidConfig(
      `annotations "cni" and ${annotation} exclude each other`,
    );
}
