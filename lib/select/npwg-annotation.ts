/**
 * Network selection elements: the grammar of `k8s.v1.cni.cncf.io/networks` in
 * both forms (selection.md §6, NPWG v1.3 §4). Pure: text in, validated elements
 * out, or one error 7 that names element and key of every problem.
 */
import { ifnameProblem } from "../cni/args.ts";
import { Code, CniError } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import { type JsonObject, isObject, jsonKind, parseJson } from "../cni/json.ts";
import { maxAttachments } from "./cni-annotation.ts";
import {
  elementKeys,
  isDnsName,
  isElement,
  readKeys,
  unsupportedKeys,
} from "./npwg-element.ts";
import type { JsonElement } from "./npwg-element.ts";
import { joined, problemList } from "./problems.ts";
import { describeUnknownKeys } from "./unknown-keys.ts";

/** One requested definition and what is asked of its attachment; values as the pod's author wrote them. */
export interface NetworkSelectionElement {
  name: string;
  namespace?: string;
  ifname?: string;
  ips?: readonly string[];
  mac?: string;
  infinibandGuid?: string;
  portMappings?: readonly unknown[];
  bandwidth?: JsonObject;
  deviceId?: string;
  /** The resource whose device the kubelet has allotted to the pod; wins over `deviceId`. */
  resourceName?: string;
  cniArgs?: JsonObject;
  /** Gateways, at most one of each family; absent when the list is empty. */
  defaultRoute?: readonly string[];
}

export interface Elements {
  elements: NetworkSelectionElement[];
  /** For the log: keys that have no effect. */
  warnings: string[];
}

/**
 * `source` is what messages call the text: `annotation "k8s.v1.cni.cncf.io/networks"`.
 * Blank is none. `strict` refuses keys that have no effect.
 */
export function parseElements(
  source: string,
  text: string,
  strict = false,
): Elements {
  if (text.trim() === "") return { elements: [], warnings: [] };
  const isJson = text.includes("{") || text.includes("[") || text.includes('"');
  return isJson
    ? jsonElements(source, text, strict)
    : { elements: shortElements(source, text), warnings: [] };
}

function invalid(source: string, problem: string, cause?: unknown): CniError {
  return new CniError(
    Code.invalidNetworkConfig,
    `failed to parse ${source}: ${problem}`,
    { cause },
  );
}

function requireFew(source: string, elements: readonly unknown[]): void {
  if (elements.length > maxAttachments)
    throw invalid(source, `more than ${maxAttachments} networks`);
}

/** `[namespace/]name[@interface]`, comma-separated. */
function shortElements(
  source: string,
  text: string,
): NetworkSelectionElement[] {
  const texts = partsOf(text, ",");
  requireFew(source, texts);
  const problems = problemList();
  const elements: NetworkSelectionElement[] = [];
  for (const [i, element] of texts.entries()) {
    const parsed = shortElement(element);
    if (typeof parsed === "string")
      problems.add(`element ${i + 1} ${quote(element)}: ${parsed}`);
    else elements.push(parsed);
  }
  if (problems.text !== "") throw invalid(source, problems.text);
  return elements;
}

/** The element, or what is wrong with it. */
function shortElement(text: string): NetworkSelectionElement | string {
  if (text === "") return "empty element, perhaps a comma too many";
  const [path = "", ifname, ...more] = partsOf(text, "@");
  if (more.length > 0) return "more than one @";
  const names = partsOf(path, "/");
  if (names.length > 2) return "more than one /";
  const [name = "", namespace] = names.toReversed();
  if (!isDnsName(name)) return `invalid name ${quote(name)}`;
  if (namespace !== undefined && !isDnsName(namespace))
    return `invalid namespace ${quote(namespace)}`;
  const problem = ifname ? ifnameProblem(ifname) : undefined;
  if (problem)
    return `invalid interface name ${quote(ifname ?? "")}: ${problem.msg}`;
  return {
    name,
    ...(namespace && { namespace }),
    ...(ifname && { ifname }),
  };
}

/** Without the blanks around each. */
function partsOf(text: string, separator: string): string[] {
  const parts: string[] = [];
  for (const part of text.split(separator)) parts.push(part.trim());
  return parts;
}

function jsonElements(source: string, text: string, strict: boolean): Elements {
  const entries = jsonEntries(source, text);
  requireFew(source, entries);
  const problems = problemList();
  const warnings: string[] = [];
  const unknown: string[] = [];
  const elements: NetworkSelectionElement[] = [];
  for (const [i, entry] of entries.entries()) {
    const where = `element ${i + 1}`;
    let place = `${where}: `;
    const add = (problem: string): boolean => {
      const isMore = problems.add(place + problem);
      place = "";
      return isMore;
    };
    if (!isObject(entry)) {
      add(`expected an object, got ${jsonKind(entry)}`);
      continue;
    }
    const read = readKeys(entry, elementKeys);
    for (const key of read.repeated) add(key);
    if (isElement(read.values, add)) elements.push(elementOf(read.values));
    if (read.unknown.length > 0)
      unknown.push(
        `${where}: ${describeUnknownKeys(read.unknown, elementKeys)}`,
      );
    for (const ignored of unsupportedKeys(read.values)) {
      if (strict) add(ignored);
      else warnings.push(`${source}: ${where}: ${ignored}`);
    }
  }
  if (unknown.length > 0) {
    const keys = joined(unknown);
    if (strict) problems.add(`unknown keys: ${keys}`);
    else warnings.push(`${source}: unknown keys are ignored: ${keys}`);
  }
  if (problems.text !== "") throw invalid(source, problems.text);
  return { elements, warnings };
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

/** Null, the empty text and the empty list are absent. */
function elementOf(element: JsonElement): NetworkSelectionElement {
  const ifname = element.interface || element.interfaceRequest;
  const {
    name = "",
    namespace,
    ips,
    mac,
    portMappings,
    bandwidth,
    deviceID,
    resourceName,
  } = element;
  const guid = element["infiniband-guid"];
  const cniArgs = element["cni-args"];
  const defaultRoute = element["default-route"];
  return {
    name,
    ...(namespace && { namespace }),
    ...(ifname && { ifname }),
    ...(ips && ips.length > 0 && { ips }),
    ...(mac && { mac }),
    ...(guid && { infinibandGuid: guid }),
    ...(portMappings && portMappings.length > 0 && { portMappings }),
    ...(bandwidth && { bandwidth }),
    ...(deviceID && { deviceId: deviceID }),
    ...(resourceName && { resourceName }),
    ...(cniArgs && { cniArgs }),
    ...(defaultRoute && defaultRoute.length > 0 && { defaultRoute }),
  };
}
