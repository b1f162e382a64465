/**
 * Network selection elements: the grammar of `k8s.v1.cni.cncf.io/networks` in
 * both forms (selection.md §6, NPWG v1.3 §4). Pure: text in, validated elements
 * out, or an error 7 that names element and key.
 */
import { parseCidr, parseIp, parseMac } from "../cni/address.ts";
import { ifnameProblem } from "../cni/args.ts";
import { Code, CniError, messageOf, quote } from "../cni/error.ts";
import {
  type JsonObject,
  isObject,
  jsonKind,
  own,
  parseJson,
} from "../cni/json.ts";
import { maxAttachments } from "./annotation.ts";

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
  cniArgs?: JsonObject;
  /** Gateways; absent when the list is empty. */
  defaultRoute?: readonly string[];
}

export interface Elements {
  elements: NetworkSelectionElement[];
  /** For the log: keys that have no effect. */
  warnings: string[];
}

/** `source` is what messages call the text: `annotation "k8s.v1.cni.cncf.io/networks"`. Blank is none. */
export function parseElements(source: string, text: string): Elements {
  if (text.trim() === "") return { elements: [], warnings: [] };
  const isJson = text.includes("{") || text.includes("[") || text.includes('"');
  const found = isJson
    ? jsonElements(source, text)
    : shortElements(source, text);
  if (found.elements.length <= maxAttachments) return found;
  throw invalid(source, `more than ${maxAttachments} networks`);
}

function invalid(source: string, problem: string, cause?: unknown): CniError {
  return new CniError(
    Code.invalidNetworkConfig,
    `failed to parse ${source}: ${problem}`,
    { cause },
  );
}

/** `[namespace/]name[@interface]`, comma-separated. */
function shortElements(source: string, text: string): Elements {
  const elements: NetworkSelectionElement[] = [];
  for (const element of text.split(",")) {
    const fail = (problem: string) =>
      invalid(
        source,
        `element ${elements.length + 1} ${quote(element.trim())}: ${problem}`,
      );
    const [path = "", ifname, ...more] = partsOf(element, "@");
    if (more.length > 0) throw fail("more than one @");
    const names = partsOf(path, "/");
    if (names.length > 2) throw fail("more than one /");
    const [name = "", namespace] = names.toReversed();
    if (!isDnsName(name)) throw fail(`invalid name ${quote(name)}`);
    if (namespace !== undefined && !isDnsName(namespace)) {
      throw fail(`invalid namespace ${quote(namespace)}`);
    }
    const problem = ifname ? ifnameProblem(ifname) : undefined;
    if (problem)
      throw fail(
        `invalid interface name ${quote(ifname ?? "")}: ${problem.msg}`,
      );
    elements.push({
      name,
      ...(namespace && { namespace }),
      ...(ifname && { ifname }),
    });
  }
  return { elements, warnings: [] };
}

/** Without the blanks around each. */
function partsOf(text: string, separator: string): string[] {
  const parts: string[] = [];
  for (const part of text.split(separator)) parts.push(part.trim());
  return parts;
}

/**
 * A DNS-1123 subdomain, which object names of Kubernetes are: labels of small
 * letters, digits and `-`, which is neither the first nor the last of a label.
 */
function isDnsName(text: string): boolean {
  if (text.length > 253) return false;
  // The character before: at the beginning as after a dot.
  let before = 0x2e;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const isDash = code === 0x2d;
    if (isDash || code === 0x2e) {
      if (before === 0x2e || (before === 0x2d && !isDash)) return false;
    } else if (!isSmallOrDigit(code)) return false;
    before = code;
  }
  return isSmallOrDigit(before);
}

function isSmallOrDigit(code: number): boolean {
  return (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39);
}

function jsonElements(source: string, text: string): Elements {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw invalid(source, messageOf(cause), cause);
  }
  const values: unknown[] = Array.isArray(value) ? value : [value];
  const warnings: string[] = [];
  const elements: NetworkSelectionElement[] = [];
  for (const entry of values) {
    const where = `element ${elements.length + 1}`;
    if (!isObject(entry))
      throw invalid(
        source,
        `${where}: expected an object, got ${jsonKind(entry)}`,
      );
    const problems: string[] = [];
    if (!isElement(entry, problems))
      throw invalid(source, `${where}: ${problems.join(", ")}`);
    for (const key of Object.keys(entry)) {
      if (!Object.hasOwn(checks(), key))
        warnings.push(
          `${source}: ${where}: unknown key ${quote(key)} is ignored`,
        );
    }
    if (own(entry, "ipam-claim-reference"))
      warnings.push(
        `${source}: ${where}: "ipam-claim-reference" is ignored: genie knows no IPAM claims`,
      );
    elements.push(elementOf(entry));
  }
  return { elements, warnings };
}

/** A JSON element whose keys have been checked; null is absent. */
interface JsonElement extends JsonObject {
  name?: string;
  namespace?: string | null;
  interface?: string | null;
  interfaceRequest?: string | null;
  ips?: string[] | null;
  mac?: string | null;
  "infiniband-guid"?: string | null;
  portMappings?: JsonObject[] | null;
  bandwidth?: JsonObject | null;
  deviceID?: string | null;
  "cni-args"?: JsonObject | null;
  "default-route"?: string[] | null;
}

/** Adds to `problems` what is wrong, key by key. */
function isElement(
  entry: JsonObject,
  problems: string[],
): entry is JsonElement {
  for (const [key, check] of Object.entries(checks())) {
    let value = own(entry, key);
    if (key === "name") value = value === undefined ? "" : value;
    else if (value === undefined || value === null) continue;
    for (const problem of check(value)) problems.push(key + problem);
  }
  return problems.length === 0;
}

/** What is wrong with a value: `: expected …`, or `.0: expected …` of an item. */
type Check = (value: unknown) => string[];

/** A string that a function finds nothing wrong with. */
function string(problemOf: (value: string) => string | undefined): Check {
  return (value) => {
    if (typeof value !== "string")
      return [`: expected a string, got ${jsonKind(value)}`];
    const problem = problemOf(value);
    return problem === undefined ? [] : [`: ${problem}`];
  };
}

/** A string of a kind; the message quotes what it was. */
function kind(expected: string, test: (value: string) => boolean): Check {
  return string((value) =>
    test(value) ? undefined : `expected ${expected}, got ${quote(value)}`,
  );
}

function object(problemOf: (value: JsonObject) => string | undefined): Check {
  return (value) => {
    if (!isObject(value))
      return [`: expected an object, got ${jsonKind(value)}`];
    const problem = problemOf(value);
    return problem === undefined ? [] : [`: ${problem}`];
  };
}

function list(item: Check): Check {
  return (value) => {
    if (!Array.isArray(value))
      return [`: expected a list, got ${jsonKind(value)}`];
    const problems: string[] = [];
    let i = 0;
    for (const entry of value) {
      for (const problem of item(entry)) problems.push(`.${i}${problem}`);
      i++;
    }
    return problems;
  };
}

/** What reaches CNI_ARGS: a variable of the environment must stay far below the kernel's 128 KiB. */
const maxAddresses = 32;

function addresses(value: unknown): string[] {
  const everyOne = list(kind("an IP address or CIDR", isAddress));
  const problems = everyOne(value);
  if (Array.isArray(value) && value.length > maxAddresses)
    problems.push(`: more than ${maxAddresses} addresses`);
  return problems;
}

function isAddress(value: string): boolean {
  return (parseIp(value) ?? parseCidr(value)) !== undefined;
}

function interfaceProblem(value: string): string | undefined {
  const problem = value === "" ? undefined : ifnameProblem(value);
  return problem && `invalid interface name ${quote(value)}: ${problem.msg}`;
}

/** Keys of runtimeConfig are read in any case and forwarded unchanged (K-8). */
function any(record: JsonObject, key: string): unknown {
  const wanted = key.toLowerCase();
  for (const [name, value] of Object.entries(record)) {
    if (name.toLowerCase() === wanted) return value;
  }
  return undefined;
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || value === "";
}

function isPort(value: unknown): boolean {
  return (
    Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65_535
  );
}

const protocols = new Set(["tcp", "udp", "sctp"]);

function portMappingProblem(mapping: JsonObject): string | undefined {
  for (const key of ["hostPort", "containerPort"]) {
    if (!isPort(any(mapping, key)))
      return `${key}: expected a port from 1 to 65535`;
  }
  const protocol = any(mapping, "protocol");
  if (
    !isAbsent(protocol) &&
    !(typeof protocol === "string" && protocols.has(protocol.toLowerCase()))
  ) {
    return "protocol: expected tcp, udp or sctp";
  }
  const hostIP = any(mapping, "hostIP");
  if (!isAbsent(hostIP) && !(typeof hostIP === "string" && parseIp(hostIP))) {
    return "hostIP: expected an IP address";
  }
  return undefined;
}

function bandwidthProblem(bandwidth: JsonObject): string | undefined {
  for (const key of [
    "ingressRate",
    "ingressBurst",
    "egressRate",
    "egressBurst",
  ]) {
    const value = any(bandwidth, key);
    if (value === undefined || value === null) continue;
    if (!Number.isSafeInteger(value) || Number(value) < 0)
      return `${key}: expected bits, an integer of at least 0`;
  }
  return undefined;
}

let made: Readonly<Record<string, Check>> | undefined;

/** By key; whatever is not here has no effect. Made when JSON is met. */
function checks(): Readonly<Record<string, Check>> {
  return (made ??= {
    name: kind("a DNS-1123 subdomain", isDnsName),
    namespace: kind(
      "a DNS-1123 subdomain",
      (value) => value === "" || isDnsName(value),
    ),
    interface: string(interfaceProblem),
    interfaceRequest: string(interfaceProblem),
    ips: addresses,
    mac: kind(
      "a MAC address",
      (value) => value === "" || parseMac(value)?.length === 6,
    ),
    "infiniband-guid": kind(
      "a GUID of 8 bytes",
      (value) => value === "" || parseMac(value)?.length === 8,
    ),
    portMappings: list(object(portMappingProblem)),
    bandwidth: object(bandwidthProblem),
    deviceID: string(() => undefined),
    "cni-args": object(() => undefined),
    "default-route": list(
      kind("an IP address", (value) => parseIp(value) !== undefined),
    ),
    "ipam-claim-reference": string(() => undefined),
  });
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
    ...(cniArgs && { cniArgs }),
    ...(defaultRoute && defaultRoute.length > 0 && { defaultRoute }),
  };
}
