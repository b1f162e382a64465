/**
 * Network selection elements: the grammar of `k8s.v1.cni.cncf.io/networks` in
 * both forms (selection.md §6, NPWG v1.3 §4). Pure: text in, validated elements
 * out, or an error 7 that names element and key.
 */
import * as v from "valibot";
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
  const found = /[[{"]/.test(text)
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
  const elements = text
    .split(",")
    .map((element, i): NetworkSelectionElement => {
      const fail = (problem: string) =>
        invalid(
          source,
          `element ${i + 1} ${quote(element.trim())}: ${problem}`,
        );
      const [path = "", ifname, ...more] = element
        .split("@")
        .map((part) => part.trim());
      if (more.length > 0) throw fail("more than one @");
      const names = path.split("/").map((part) => part.trim());
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
      return {
        name,
        ...(namespace && { namespace }),
        ...(ifname && { ifname }),
      };
    });
  return { elements, warnings: [] };
}

/** A DNS-1123 subdomain, which object names of Kubernetes are. */
function isDnsName(text: string): boolean {
  return text.length <= 253 && dnsName.test(text);
}

const dnsName =
  /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;

function jsonElements(source: string, text: string): Elements {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw invalid(source, messageOf(cause), cause);
  }
  const values: unknown[] = Array.isArray(value) ? value : [value];
  const warnings: string[] = [];
  const elements = values.map((entry, i) => {
    const where = `element ${i + 1}`;
    if (!isObject(entry))
      throw invalid(
        source,
        `${where}: expected an object, got ${jsonKind(entry)}`,
      );
    const parsed = v.safeParse(schema, entry);
    if (!parsed.success) {
      const problems = parsed.issues.map(
        (issue) => `${v.getDotPath(issue) ?? ""}: ${issue.message}`,
      );
      throw invalid(source, `${where}: ${problems.join(", ")}`);
    }
    for (const key of Object.keys(entry)) {
      if (!known.has(key))
        warnings.push(
          `${source}: ${where}: unknown key ${quote(key)} is ignored`,
        );
    }
    if (parsed.output["ipam-claim-reference"])
      warnings.push(
        `${source}: ${where}: "ipam-claim-reference" is ignored: genie knows no IPAM claims`,
      );
    return elementOf(parsed.output);
  });
  return { elements, warnings };
}

const text = v.string(
  (issue) => `expected a string, got ${jsonKind(issue.input)}`,
);

/** A string of a kind; the message quotes what it was. */
function kind(expected: string, test: (value: string) => boolean) {
  return v.pipe(
    text,
    v.check(test, (issue) => `expected ${expected}, got ${quote(issue.input)}`),
  );
}

/** What reaches CNI_ARGS: a variable of the environment must stay far below the kernel's 128 KiB. */
const maxAddresses = 32;

const list = <T extends v.GenericSchema>(item: T) =>
  v.array(item, (issue) => `expected a list, got ${jsonKind(issue.input)}`);

const dns = kind("a DNS-1123 subdomain", isDnsName);
const ip = kind("an IP address", (value) => parseIp(value) !== undefined);
const ipOrCidr = kind(
  "an IP address or CIDR",
  (value) => (parseIp(value) ?? parseCidr(value)) !== undefined,
);
const ifnameText = v.pipe(
  text,
  v.check(
    (value) => value === "" || !ifnameProblem(value),
    (issue) =>
      `invalid interface name ${quote(issue.input)}: ${ifnameProblem(issue.input)?.msg}`,
  ),
);
const object = v.custom<JsonObject>(
  isObject,
  (issue) => `expected an object, got ${jsonKind(issue.input)}`,
);

/** Keys of runtimeConfig are read in any case and forwarded unchanged (K-8). */
function any(record: JsonObject, key: string): unknown {
  return Object.entries(record).find(
    ([name]) => name.toLowerCase() === key.toLowerCase(),
  )?.[1];
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

/** An object that a function finds nothing wrong with. */
function checked(problemOf: (value: JsonObject) => string | undefined) {
  return v.pipe(
    object,
    v.check(
      (value) => problemOf(value) === undefined,
      (issue) => problemOf(issue.input) ?? "",
    ),
  );
}

const entries = {
  name: v.optional(dns, ""),
  namespace: v.nullish(
    kind("a DNS-1123 subdomain", (value) => value === "" || isDnsName(value)),
  ),
  interface: v.nullish(ifnameText),
  interfaceRequest: v.nullish(ifnameText),
  ips: v.nullish(
    v.pipe(
      list(ipOrCidr),
      v.maxLength(maxAddresses, `more than ${maxAddresses} addresses`),
    ),
  ),
  mac: v.nullish(
    kind(
      "a MAC address",
      (value) => value === "" || parseMac(value)?.length === 6,
    ),
  ),
  "infiniband-guid": v.nullish(
    kind(
      "a GUID of 8 bytes",
      (value) => value === "" || parseMac(value)?.length === 8,
    ),
  ),
  portMappings: v.nullish(list(checked(portMappingProblem))),
  bandwidth: v.nullish(checked(bandwidthProblem)),
  deviceID: v.nullish(text),
  "cni-args": v.nullish(object),
  "default-route": v.nullish(list(ip)),
  "ipam-claim-reference": v.nullish(text),
};

const schema = v.looseObject(entries);
const known: ReadonlySet<string> = new Set(Object.keys(entries));

/** Null, the empty text and the empty list are absent. */
function elementOf(
  parsed: v.InferOutput<typeof schema>,
): NetworkSelectionElement {
  const ifname = parsed.interface || parsed.interfaceRequest;
  const { name, namespace, ips, mac, portMappings, bandwidth, deviceID } =
    parsed;
  const guid = own(parsed, "infiniband-guid");
  return {
    name,
    ...(namespace && { namespace }),
    ...(ifname && { ifname }),
    ...(ips && ips.length > 0 && { ips }),
    ...(mac && { mac }),
    ...(typeof guid === "string" && guid && { infinibandGuid: guid }),
    ...(portMappings && portMappings.length > 0 && { portMappings }),
    ...(bandwidth && { bandwidth }),
    ...(deviceID && { deviceId: deviceID }),
    ...(parsed["cni-args"] && { cniArgs: parsed["cni-args"] }),
    ...(parsed["default-route"]?.length && {
      defaultRoute: parsed["default-route"],
    }),
  };
}
