/**
 * The definitions that an NPWG annotation or a command names, each with the requests for
 * its attachment (selection.md §6). Pure.
 */
import { invalidConfig } from "../cni/error.ts";
import { own } from "../cni/json.ts";
import { plain, quote } from "../linux/text.ts";
import { type Annotations, networksAnnotation } from "./attachment.ts";
import type { GenieConfig } from "./config.ts";
import {
  type NetworkSelectionElement,
  parseElements,
} from "./npwg-annotation.ts";
import { joined } from "./problem-list.ts";
import type { SelectionContext } from "./selection-context.ts";

/** A NetworkAttachmentDefinition, and the requests for its attachment. */
export interface DefinitionReference {
  namespace: string;
  /** `<namespace>/<name>` */
  key: string;
  element: NetworkSelectionElement;
  /** In messages: `annotation "k8s.v1.cni.cncf.io/networks" adds`. */
  origin: string;
}

/** The definitions that an NPWG annotation names. The grammar is loaded only for pods that use it. */
export function references(
  annotations: Annotations,
  annotation: string,
  context: SelectionContext,
): DefinitionReference[] {
  const text = own(annotations, annotation);
  if (typeof text !== "string") return [];
  const source = `annotation "${annotation}"`;
  if (annotation === networksAnnotation)
    return referencesIn(text, context, { source, origin: `${source} adds` });
  const namespace = context.config.systemNamespace;
  const origin = `${source} names`;
  return referencesIn(text, context, { source, origin, namespace });
}

/** The definitions that a text in the syntax of NPWG names; `namespace` is that of a bare name. Throws 7. */
export function referencesIn(
  text: string,
  { config, namespace: podNamespace, warn }: SelectionContext,
  {
    source,
    origin,
    namespace: byDefault = podNamespace,
  }: { source: string; origin: string; namespace?: string },
): DefinitionReference[] {
  const { elements, warnings } = parseElements(source, text, config.strict);
  for (const warning of warnings) warn?.(warning);
  const found: DefinitionReference[] = [];
  for (const element of elements) {
    const namespace = element.namespace ?? byDefault;
    if (namespace === undefined)
      throw invalidConfig(
        `${source}: network ${quote(element.name)} has no namespace, and no pod is known`,
      );
    const key = `${namespace}/${element.name}`;
    requireReachable(source, namespace, key, podNamespace, config);
    found.push({ namespace, key, element, origin });
  }
  return found;
}

/** `namespaceIsolation` (selection.md §6). */
function requireReachable(
  source: string,
  namespace: string,
  key: string,
  podNamespace: string | undefined,
  { namespaceIsolation, globalNamespaces }: GenieConfig,
): void {
  if (!namespaceIsolation || namespace === podNamespace) return;
  if (globalNamespaces.includes(namespace)) return;
  throw invalidConfig(
    `${source}: network-attachment-definition ${quote(key)} is outside of the pod's namespace: namespaceIsolation allows ${joined(globalNamespaces.map(plain), 4000) || "no other"}`,
  );
}
