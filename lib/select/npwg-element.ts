/**
 * The keys of a network selection element in JSON, and what their values may be
 * (selection.md §6). Pure. The checks are generators: who has read enough problems
 * asks for no more of them.
 */
import { parseCidr, parseIp, parseMac } from "../linux/address.ts";
import { ifnameProblem } from "../cni/args.ts";
import { quote } from "../linux/text.ts";
import { foldKey } from "../cni/executable-types.ts";
import {
  type JsonObject,
  isObject,
  jsonKind,
  own,
  setOwn,
} from "../cni/json.ts";

/** An element whose keys have been checked; null is absent. */
export interface JsonElement extends JsonObject {
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
  resourceName?: string | null;
  "cni-args"?: JsonObject | null;
  "default-route"?: string[] | null;
}

export interface ReadKeys {
  /** By the key as it is spelt here. */
  values: JsonObject;
  unknown: string[];
  /** Keys that are there in two spellings, as problems: programs differ in which one they take. */
  repeated: string[];
}

/** The keys of an object in any case, as Go programs read them. */
export function readKeys(
  entry: JsonObject,
  known: readonly string[],
): ReadKeys {
  const byFold = new Map<string, string>();
  for (const key of known) byFold.set(foldKey(key), key);
  const spellings = new Map<string, string>();
  const read: ReadKeys = { values: {}, unknown: [], repeated: [] };
  for (const [spelling, value] of Object.entries(entry)) {
    const key = byFold.get(foldKey(spelling));
    if (key === undefined) {
      read.unknown.push(spelling);
      continue;
    }
    const earlier = spellings.get(key);
    if (earlier !== undefined)
      read.repeated.push(
        `${key}: one key in two spellings, ${quote(earlier)} and ${quote(spelling)}`,
      );
    spellings.set(key, spelling);
    setOwn(read.values, key, value);
  }
  return read;
}

/** Tells what is wrong, key by key, until `add` wants no more of it. */
export function isElement(
  values: JsonObject,
  add: (problem: string) => boolean,
): values is JsonElement {
  let isValid = true;
  for (const problem of problemsOf(values)) {
    isValid = false;
    if (!add(problem)) break;
  }
  return isValid;
}

function* problemsOf(values: JsonObject): Generator<string> {
  for (const [key, check] of Object.entries(checks)) {
    let value = own(values, key);
    if (key === "name") value = value === undefined ? "" : value;
    else if (value === undefined || value === null) continue;
    for (const problem of check(value)) yield key + problem;
  }
  if (values["resourceName"] && values["resourceClaim"])
    yield "resourceClaim: there is a resourceName as well";
}

/** Requests that are understood but cannot be met. */
export function* unsupportedKeys(values: JsonObject): Generator<string> {
  if (values["ipam-claim-reference"])
    yield '"ipam-claim-reference" is ignored: genie knows no IPAM claims';
  if (values["resourceClaim"])
    yield '"resourceClaim" is ignored: genie knows no resource claims';
}

/** What is wrong with a value: `: expected …`, or `.0: expected …` of an item. */
type Check = (value: unknown) => Iterable<string>;

/** A string that a function finds nothing wrong with. */
function string(problemOf: (value: string) => string | undefined): Check {
  return function* (value) {
    if (typeof value !== "string") {
      yield `: expected a string, got ${jsonKind(value)}`;
      return;
    }
    const problem = problemOf(value);
    if (problem !== undefined) yield `: ${problem}`;
  };
}

/** A string of a kind; the message quotes what it was. */
function kind(expected: string, test: (value: string) => boolean): Check {
  return string((value) =>
    test(value) ? undefined : `expected ${expected}, got ${quote(value)}`,
  );
}

function object(problemsIn: (value: JsonObject) => Iterable<string>): Check {
  return function* (value) {
    if (!isObject(value)) yield `: expected an object, got ${jsonKind(value)}`;
    else for (const problem of problemsIn(value)) yield `: ${problem}`;
  };
}

function list(item: Check): Check {
  return function* (value) {
    if (!Array.isArray(value)) {
      yield `: expected a list, got ${jsonKind(value)}`;
      return;
    }
    for (const [i, entry] of value.entries())
      for (const problem of item(entry)) yield `.${i}${problem}`;
  };
}

const nothing: readonly string[] = [];

/**
 * A DNS-1123 subdomain, which object names of Kubernetes are: labels of small
 * letters, digits and `-`, which is neither the first nor the last of a label.
 */
export function isDnsName(text: string): boolean {
  return (
    text.length <= 253 &&
    /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/.test(
      text,
    )
  );
}

/** What reaches CNI_ARGS: a variable of the environment must stay far below the kernel's 128 KiB. */
const maxAddresses = 32;

function* addressProblems(value: unknown): Generator<string> {
  if (Array.isArray(value) && value.length > maxAddresses)
    yield `: more than ${maxAddresses} addresses`;
  yield* list(kind("an IP address or CIDR", isAddress))(value);
}

function isAddress(value: string): boolean {
  return (parseIp(value) ?? parseCidr(value)) !== undefined;
}

/** NPWG allows several gateways of a family; a pod can use one. */
function* gatewayProblems(value: unknown): Generator<string> {
  yield* list(kind("an IP address", (text) => parseIp(text) !== undefined))(
    value,
  );
  if (!Array.isArray(value)) return;
  const first = new Map<string, string>();
  for (const gateway of value) {
    const family = typeof gateway === "string" && parseIp(gateway)?.family;
    if (!family) continue;
    const other = first.get(family);
    if (other !== undefined) {
      yield `: two gateways of one address family, ${quote(other)} and ${quote(gateway)}`;
      return;
    }
    first.set(family, gateway);
  }
}

function interfaceProblem(value: string): string | undefined {
  const problem = value === "" ? undefined : ifnameProblem(value);
  return problem && `invalid interface name ${quote(value)}: ${problem.msg}`;
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

/** Forwarded unchanged (K-8), so the plugin must read what was checked. */
function* portMappingProblems(mapping: JsonObject): Generator<string> {
  const { values, repeated } = readKeys(mapping, [
    "hostPort",
    "containerPort",
    "protocol",
    "hostIP",
  ]);
  yield* repeated;
  const { hostPort, containerPort, protocol, hostIP } = values;
  const expectedPort = "expected a port from 1 to 65535";
  if (!isPort(hostPort)) yield `hostPort: ${expectedPort}`;
  if (!isPort(containerPort)) yield `containerPort: ${expectedPort}`;
  const isProtocol =
    typeof protocol === "string" && protocols.has(protocol.toLowerCase());
  if (!isAbsent(protocol) && !isProtocol)
    yield "protocol: expected tcp, udp or sctp";
  const isIp = typeof hostIP === "string" && parseIp(hostIP) !== undefined;
  if (!isAbsent(hostIP) && !isIp) yield "hostIP: expected an IP address";
}

const rates = ["ingressRate", "ingressBurst", "egressRate", "egressBurst"];

function* bandwidthProblems(bandwidth: JsonObject): Generator<string> {
  const { values, repeated } = readKeys(bandwidth, rates);
  yield* repeated;
  for (const key of rates) {
    const value = own(values, key) ?? 0;
    if (!Number.isSafeInteger(value) || Number(value) < 0)
      yield `${key}: expected bits, an integer of at least 0`;
  }
}

/** `claimName` is one of the pod's `spec.resourceClaims`. */
function* claimProblems(claim: JsonObject): Generator<string> {
  const { values, repeated } = readKeys(claim, ["claimName", "requestName"]);
  yield* repeated;
  const { claimName, requestName } = values;
  if (typeof claimName !== "string" || claimName === "")
    yield "claimName: expected the name of a claim of the pod";
  if (!isAbsent(requestName) && typeof requestName !== "string")
    yield `requestName: expected a string, got ${jsonKind(requestName)}`;
}

/** By key; whatever is not here has no effect. */
const checks: Readonly<Record<string, Check>> = {
  name: kind("a DNS-1123 subdomain", isDnsName),
  namespace: kind(
    "a DNS-1123 subdomain",
    (value) => value === "" || isDnsName(value),
  ),
  interface: string(interfaceProblem),
  interfaceRequest: string(interfaceProblem),
  ips: addressProblems,
  mac: kind(
    "a MAC address",
    (value) => value === "" || parseMac(value)?.length === 6,
  ),
  "infiniband-guid": kind(
    "a GUID of 8 bytes",
    (value) => value === "" || parseMac(value)?.length === 8,
  ),
  portMappings: list(object(portMappingProblems)),
  bandwidth: object(bandwidthProblems),
  deviceID: string(() => undefined),
  resourceName: string(() => undefined),
  resourceClaim: object(claimProblems),
  "cni-args": object(() => nothing),
  "default-route": gatewayProblems,
  "ipam-claim-reference": string(() => undefined),
};

export const elementKeys: readonly string[] = Object.keys(checks);
