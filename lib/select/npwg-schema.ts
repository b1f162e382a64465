/**
 * The schemas of a network selection element, one for each form of the annotation
 * (selection.md §6). Keys are read in any case, as Go programs do.
 */
import * as v from "valibot";
import { ifnameProblem } from "../cni/identifiers.ts";
import { type JsonObject, foldKey, isObject, setOwn } from "../cni/json.ts";
import { jsonObject, list, object, problemsIn, text } from "../cni/schema.ts";
import { parseCidr, parseIp, parseMac } from "../linux/address.ts";
import { quote } from "../linux/text.ts";
import { describeUnknownKeys } from "./nearest-key.ts";
import type { ClaimRequest } from "../kubelet/pod-claims.ts";

/** A limit for CNI_ARGS: an environment variable must stay far below the kernel's 128 KiB. */
const maxAddresses = 32;

const dnsName = text(isDnsName, "a DNS-1123 subdomain");
const interfaceName =
  "an interface name (1 to 15 bytes, not . or .., without /, : and white space)";

/** The parts of `[namespace/]name[@interface]`. */
export const shortElementSchema = object({
  name: dnsName,
  namespace: v.optional(dnsName),
  interface: optional(isIfname, interfaceName),
});

/** Null and the empty string are treated as absent. */
function optional(isValid: (value: string) => boolean, expected: string) {
  return v.nullish(text((value) => value === "" || isValid(value), expected));
}

const optionalText = v.nullish(v.string());
const optionalIfname = optional(isIfname, interfaceName);

/** A plain number: the plugins that get it would refuse `80.0`. */
function integer(min: number, max: number, expected: string) {
  return v.custom<number>(
    (value) =>
      typeof value === "number" &&
      Number.isInteger(value) &&
      value >= min &&
      value <= max,
    expected,
  );
}

const port = integer(1, 65_535, "a port from 1 to 65535");
const rate = v.nullish(
  integer(0, Number.MAX_SAFE_INTEGER, "bits, an integer of at least 0"),
);

const portMappingEntries = {
  hostPort: port,
  containerPort: port,
  protocol: optional(
    (value) => /^(?:tcp|udp|sctp)$/i.test(value),
    "tcp, udp or sctp",
  ),
  hostIP: optional(isIp, "an IP address"),
};

const bandwidthEntries = {
  ingressRate: rate,
  ingressBurst: rate,
  egressRate: rate,
  egressBurst: rate,
};

const claimEntries = {
  claimName: text((value) => value !== "", "the name of a claim of the pod"),
  requestName: optionalText,
};

const elementEntries = {
  name: dnsName,
  namespace: optional(isDnsName, "a DNS-1123 subdomain"),
  interface: optionalIfname,
  interfaceRequest: optionalIfname,
  ips: v.nullish(
    v.pipe(
      list(text(isAddress, "an IP address or CIDR")),
      v.maxLength(maxAddresses, `at most ${maxAddresses} addresses`),
    ),
  ),
  mac: optional((value) => parseMac(value)?.length === 6, "a MAC address"),
  "infiniband-guid": optional(
    (value) => parseMac(value)?.length === 8,
    "a GUID of 8 bytes",
  ),
  portMappings: v.nullish(list(anyCase(portMappingEntries))),
  bandwidth: v.nullish(anyCase(bandwidthEntries)),
  deviceID: optionalText,
  resourceName: optionalText,
  resourceClaim: v.nullish(anyCase(claimEntries)),
  "cni-args": v.nullish(jsonObject),
  "default-route": v.nullish(
    // NPWG allows several of a family; a pod can use one.
    list(text(isIp, "an IP address"), (gateway, earlier) =>
      earlier.some((other) => isSameFamily(other, gateway))
        ? "one gateway of each address family"
        : undefined,
    ),
  ),
  // Network plugins and their IPAM read it from the annotation (NPWG v1.3 §8).
  "ipam-claim-reference": optionalText,
};

/** An element with keys in the spelling of this schema. */
const jsonElement = object(elementEntries);
const jsonElementInAnyCase = anyCase(elementEntries);

export type JsonElement = v.InferInput<typeof jsonElement>;

export const elementKeys: readonly string[] = Object.keys(elementEntries);
const foldedElementKeys = foldedKeys(elementEntries);

/** The entries of the objects in an element. */
const nestedEntries = {
  portMappings: portMappingEntries,
  bandwidth: bandwidthEntries,
  resourceClaim: claimEntries,
};

interface ReadElement {
  /** Absent if there are problems. */
  element?: JsonElement;
  problems: string[];
  /** Unknown keys, for messages: those of the element, then those of objects in it. */
  unknown: string[];
}

export function readElement(entry: unknown): ReadElement {
  const problems = problemsIn(jsonElementInAnyCase, entry);
  if (!isObject(entry)) return { problems, unknown: [] };
  const { values, unknown: keys } = foldKeys(entry, foldedElementKeys);
  const unknown = unknownIn(values, keys);
  if (!v.is(jsonElement, values)) return { problems, unknown };
  problems.push(...conflicts(values));
  return {
    problems,
    unknown,
    ...(problems.length === 0 && { element: values }),
  };
}

function unknownIn(values: JsonObject, keys: readonly string[]): string[] {
  const texts: string[] = [];
  if (keys.length > 0) texts.push(describeUnknownKeys(keys, elementKeys));
  for (const [name, entries] of Object.entries(nestedEntries))
    for (const value of [values[name]].flat()) {
      if (!isObject(value)) continue;
      const { unknown } = foldKeys(value, foldedKeys(entries));
      if (unknown.length > 0)
        texts.push(
          `${name}: ${describeUnknownKeys(unknown, Object.keys(entries))}`,
        );
    }
  return texts;
}

/** The claim of a valid element. */
export function claimRequestOf(claim: JsonObject): ClaimRequest {
  const { values } = foldKeys(claim, foldedKeys(claimEntries));
  const { claimName, requestName } = v.parse(object(claimEntries), values);
  return { claimName, ...(requestName && { requestName }) };
}

/** Contradictions between two keys of one meaning. */
function conflicts(element: JsonElement): string[] {
  const { interface: ifname, interfaceRequest } = element;
  const { resourceName, resourceClaim } = element;
  const problems: string[] = [];
  if (ifname && interfaceRequest && ifname !== interfaceRequest)
    problems.push(
      `interfaceRequest: expected ${quote(ifname)} as in "interface", got ${quote(interfaceRequest)}`,
    );
  if (resourceName && resourceClaim)
    problems.push(
      `resourceClaim: expected nothing beside resourceName ${quote(resourceName)}, got an object`,
    );
  return problems;
}

/** An object whose keys match in any case; the object itself does not change. */
function anyCase(entries: v.ObjectEntries) {
  const schema = object(entries);
  const keys = foldedKeys(entries);
  return v.pipe(
    jsonObject,
    v.rawCheck(({ dataset, addIssue }) => {
      if (!dataset.typed) return;
      const { values, repeated } = foldKeys(dataset.value, keys);
      for (const { key, first } of repeated)
        addIssue({
          message: `no second spelling of ${quote(first)}`,
          input: dataset.value[key],
          path: [
            {
              type: "object",
              origin: "key",
              input: dataset.value,
              key,
              value: dataset.value[key],
            },
          ],
        });
      for (const issue of v.safeParse(schema, values).issues ?? [])
        addIssue({ ...issue, expected: issue.expected ?? "" });
    }),
  );
}

interface FoldedKeys {
  /** By the schema's spelling of the key. */
  values: JsonObject;
  unknown: string[];
  /** Keys that occur in two spellings: programs differ in which one they use. */
  repeated: { key: string; first: string }[];
}

/** A key in any case → the schema's key. */
type KeysByFold = ReadonlyMap<string, string>;

function foldedKeys(entries: v.ObjectEntries): KeysByFold {
  return new Map(Object.keys(entries).map((key) => [foldKey(key), key]));
}

/** The keys of an object in any case, as Go programs read them. */
function foldKeys(entry: JsonObject, known: KeysByFold): FoldedKeys {
  const spellings = new Map<string, string>();
  const folded: FoldedKeys = { values: {}, unknown: [], repeated: [] };
  for (const [spelling, value] of Object.entries(entry)) {
    const key = known.get(foldKey(spelling));
    if (key === undefined) {
      folded.unknown.push(spelling);
      continue;
    }
    const first = spellings.get(key);
    if (first === undefined) spellings.set(key, spelling);
    else folded.repeated.push({ key: spelling, first });
    setOwn(folded.values, key, value);
  }
  return folded;
}

/**
 * A DNS-1123 subdomain, as names of Kubernetes objects: labels of lower-case
 * letters, digits and `-`, which is neither first nor last.
 */
export function isDnsName(value: string): boolean {
  return (
    value.length <= 253 &&
    /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/.test(
      value,
    )
  );
}

function isIfname(value: string): boolean {
  return ifnameProblem(value) === undefined;
}

function isIp(value: string): boolean {
  return parseIp(value) !== undefined;
}

function isSameFamily(a: string, b: string): boolean {
  return parseIp(a)?.family === parseIp(b)?.family;
}

function isAddress(value: string): boolean {
  return isIp(value) || parseCidr(value) !== undefined;
}
