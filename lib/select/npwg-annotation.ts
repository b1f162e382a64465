/**
 * The annotation `k8s.v1.cni.cncf.io/networks` (selection.md §6). Its usual text, a list
 * of plain names, is read here; any other is left to npwg-elements.ts, which is loaded
 * for it with its schemas.
 */
import { maxAttachments } from "./cni-annotation.ts";
import type * as npwgElements from "./npwg-elements.ts";
import type { Elements, NetworkSelectionElement } from "./npwg-elements.ts";

export type { Elements, NetworkSelectionElement } from "./npwg-elements.ts";

/**
 * `source` names the text in messages: `annotation "k8s.v1.cni.cncf.io/networks"`.
 * A blank text has no elements. `strict` refuses keys that have no effect. Throws 7.
 */
export function parseElements(
  source: string,
  text: string,
  strict = false,
): Elements {
  const elements = usualElements(text);
  if (elements) return { elements, warnings: [] };
  return loadElements().parseAnyElements(source, text, strict);
}

/** By require(): the callers are not asynchronous. */
function loadElements(): typeof npwgElements {
  // oxlint-disable-next-line no-unsafe-return -- a require() has no types, the import above has
  return require("./npwg-elements.ts");
}

function usualElements(text: string): NetworkSelectionElement[] | undefined {
  const texts = text.split(",");
  if (texts.length > maxAttachments) return undefined;
  // `[namespace/]name[@interface]` of plain labels, which are always valid.
  const usualElement =
    /^(?:(?<namespace>[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)\/)?(?<name>[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:@(?<ifname>[a-z0-9]{1,15}))?$/;
  const elements: NetworkSelectionElement[] = [];
  for (const element of texts) {
    const groups = usualElement.exec(element.trim())?.groups;
    if (!groups) return undefined;
    const { name = "", namespace, ifname } = groups;
    elements.push({
      name,
      ...(namespace && { namespace }),
      ...(ifname && { ifname }),
    });
  }
  return elements;
}
