/**
 * Network selection elements in any form (selection.md §6, NPWG v1.3 §4): text in,
 * validated elements out, or one error 7 that names element and key of every
 * problem. Pure.
 */
import { type CniError, invalidConfig } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import { type JsonObject, omitUndefined, parseJson } from "../cni/json.ts";
import { problemsIn } from "../cni/schema.ts";
import type { ClaimRequest } from "../kubelet/pod-claims.ts";
import { maxAttachments } from "./cni-annotation.ts";
import {
  type JsonElement,
  claimRequestOf,
  readElement,
  shortElementSchema,
} from "./npwg-schema.ts";
import { joined } from "./problem-list.ts";

/**
 * One requested definition and the requests for its attachment; values as the pod's
 * author wrote them.
 */
export interface NetworkSelectionElement {
  name: string;
  namespace?: string;
  ifname?: string;
  ips?: readonly string[];
  mac?: string;
  infinibandGuid?: string;
  portMappings?: readonly unknown[];
  bandwidth?: JsonObject;
  /** At most one of the last two, which decide before `deviceId` (devices.md). */
  deviceId?: string;
  resourceName?: string;
  resourceClaim?: ClaimRequest;
  cniArgs?: JsonObject;
  /** Gateways, at most one of each family; absent for an empty list. */
  defaultRoute?: readonly string[];
}

export interface Elements {
  elements: NetworkSelectionElement[];
  /** For the log: keys that have no effect. */
  warnings: string[];
}

/** `parseElements` of npwg-annotation.ts for any text. */
export function parseAnyElements(
  source: string,
  text: string,
  strict: boolean,
): Elements {
  if (text.trim() === "") return { elements: [], warnings: [] };
  const isJson = text.includes("{") || text.includes("[") || text.includes('"');
  return isJson
    ? jsonElements(source, text, strict)
    : { elements: shortElements(source, text), warnings: [] };
}

function invalid(source: string, problem: string, cause?: unknown): CniError {
  return invalidConfig(`failed to parse ${source}: ${problem}`, cause);
}

function requireFew(source: string, elements: readonly unknown[]): void {
  if (elements.length > maxAttachments)
    throw invalid(source, `more than ${maxAttachments} networks`);
}

const shortForm =
  /^(?:(?<namespace>[^/@]*)\/)?(?<name>[^/@]*)(?:@(?<ifname>[^@]*))?$/;

/** `[namespace/]name[@interface]`, comma-separated. */
function shortElements(
  source: string,
  text: string,
): NetworkSelectionElement[] {
  const texts = text.split(",");
  requireFew(source, texts);
  const problems: string[] = [];
  const elements: NetworkSelectionElement[] = [];
  for (const [i, element] of texts.entries()) {
    const read = shortElement(element.trim());
    if (Array.isArray(read)) problems.push(...at(i, read));
    else elements.push(read);
  }
  if (problems.length > 0) throw invalid(source, joined(problems));
  return elements;
}

/** The element, or its problems. */
function shortElement(text: string): NetworkSelectionElement | string[] {
  if (text === "") return ["empty element, perhaps a comma too many"];
  const parts = shortForm.exec(text)?.groups;
  if (!parts)
    return [`expected [namespace/]name[@interface], got ${quote(text)}`];
  const element = {
    name: parts["name"]?.trim() ?? "",
    namespace: parts["namespace"]?.trim(),
    interface: parts["ifname"]?.trim(),
  };
  const problems = problemsIn(shortElementSchema, element);
  return problems.length === 0 ? elementOf(element) : problems;
}

function jsonElements(source: string, text: string, strict: boolean): Elements {
  const entries = jsonEntries(source, text);
  requireFew(source, entries);
  const problems: string[] = [];
  const unknown: string[] = [];
  const elements: NetworkSelectionElement[] = [];
  for (const [i, entry] of entries.entries()) {
    const read = readElement(entry);
    problems.push(...at(i, read.problems));
    if (read.element) elements.push(elementOf(read.element));
    unknown.push(...at(i, read.unknown));
  }
  const keys = joined(unknown);
  if (strict && keys !== "") problems.push(`unknown keys: ${keys}`);
  if (problems.length > 0) throw invalid(source, joined(problems));
  const warning = `${source}: unknown keys are ignored: ${keys}`;
  return { elements, warnings: keys === "" ? [] : [warning] };
}

/** The problems of one element; the first message names it. */
function at(i: number, [first, ...others]: readonly string[]): string[] {
  return first === undefined ? [] : [`element ${i + 1}: ${first}`, ...others];
}

/** A list of elements, or a single one. */
function jsonEntries(source: string, text: string): unknown[] {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw invalid(source, messageOf(cause), cause);
  }
  return Array.isArray(value) ? value : [value];
}

/** Null, the empty string and the empty list are treated as absent. */
function elementOf(element: JsonElement): NetworkSelectionElement {
  return omitUndefined<NetworkSelectionElement>({
    name: element.name,
    namespace: element.namespace || undefined,
    ifname: element.interface || element.interfaceRequest || undefined,
    ips: element.ips?.length ? element.ips : undefined,
    mac: element.mac || undefined,
    infinibandGuid: element["infiniband-guid"] || undefined,
    portMappings: element.portMappings?.length
      ? element.portMappings
      : undefined,
    bandwidth: element.bandwidth ?? undefined,
    deviceId: element.deviceID || undefined,
    resourceName: element.resourceName || undefined,
    resourceClaim: element.resourceClaim
      ? claimRequestOf(element.resourceClaim)
      : undefined,
    cniArgs: element["cni-args"] ?? undefined,
    defaultRoute: element["default-route"]?.length
      ? element["default-route"]
      : undefined,
  });
}
