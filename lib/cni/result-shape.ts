/**
 * The wire form of a result in every protocol version: its types and, as one
 * table per family, how untrusted JSON becomes them (cni-plugin.md §1.9, C-7
 * to C-10). `result` converts between versions.
 */
import { formatCidr, formatIp, parseCidr, parseIp } from "../linux/address.ts";
import { Code, CniError } from "./error.ts";
import { quote } from "../linux/text.ts";
import { type JsonObject, isKey, isObject, mismatch, setOwn } from "./json.ts";
import type { CniVersion } from "./version.ts";

export interface Interface {
  name: string;
  mac?: string;
  mtu?: number;
  sandbox?: string;
  socketPath?: string;
  pciID?: string;
}

export interface IpConfig {
  /** "4" or "6" in 0.3 and 0.4 only, as the plugin printed it; it may be wrong. */
  version?: string;
  /** Index of `interfaces`; validated. */
  interface?: number;
  /** Canonical CIDR with host bits. */
  address: string;
  gateway?: string;
}

export interface Route {
  dst: string;
  gw?: string;
  mtu?: number;
  advmss?: number;
  priority?: number;
  table?: number;
  scope?: number;
}

export interface Dns {
  nameservers?: readonly string[];
  domain?: string;
  search?: readonly string[];
  options?: readonly string[];
}

/** The address of one family before 0.3.0. */
export interface LegacyIp {
  ip: string;
  gateway?: string;
  routes?: readonly Route[];
}

/** A result of 0.1.0 and 0.2.0. */
export interface LegacyResult {
  cniVersion: "0.1.0" | "0.2.0";
  ip4?: LegacyIp;
  ip6?: LegacyIp;
  dns?: Dns;
}

/** A result since 0.3.0; the versions differ in what an interface and an address have. */
export interface ListResult {
  cniVersion: Exclude<CniVersion, LegacyResult["cniVersion"]>;
  interfaces?: readonly Interface[];
  ips?: readonly IpConfig[];
  routes?: readonly Route[];
  dns?: Dns;
}

/**
 * A result in the wire form of its `cniVersion`, canonical: keys in the order
 * of the types above, then unknown ones as they came, empty ones left out as
 * upstream does. JSON.stringify of it is what a plugin prints.
 */
export type Result = LegacyResult | ListResult;

/** Versions whose results have the same form: a conversion changes the version only (C-6). */
export function formOf(version: CniVersion): "legacy" | "0.3" | "1" {
  if (version === "0.1.0" || version === "0.2.0") return "legacy";
  return version === "1.0.0" || version === "1.1.0" ? "1" : "0.3";
}

/** The treatment of fields that the version does not have. */
export type Unknown = "keep" | "drop";

/**
 * A decoded value as a canonical result of `version`; its own `cniVersion` is ignored.
 * Throws code 999 with a dot path to an invalid field.
 */
export function readResult(
  value: unknown,
  version: CniVersion,
  unknown: Unknown,
): Result {
  return (
    shapes[formOf(version)]()(withVersion(value, version), "result", unknown) ??
    expected("an object", value, "result")
  );
}

/** The version as the last key: it wins over other spellings. */
function withVersion(value: unknown, cniVersion: CniVersion): unknown {
  if (!isObject(value)) return value;
  const { cniVersion: _stated, ...others } = value;
  return { ...others, cniVersion };
}

/** A text; undefined if it is absent, null or empty. Throws code 999 for another kind. */
export function readText(value: unknown, path: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  return typeof value === "string"
    ? value || undefined
    : expected("a string", value, path);
}

/** Throws code 999 for the invalid field at `path`. */
export function fail(path: string, problem: string): never {
  throw new CniError(Code.internal, `${path}: ${problem}`);
}

/** The canonical value; undefined for one to omit, such as null. Throws code 999. */
type Reader<T> = (
  value: unknown,
  path: string,
  unknown: Unknown,
) => T | undefined;

function expected(what: string, value: unknown, path: string): never {
  return fail(path, mismatch(what, value));
}

/** Printed even when empty. */
function requiredText(value: unknown, path: string): string {
  return readText(value, path) ?? "";
}

/** A pointer in upstream: zero is printed (C-7). */
function integer(value: unknown, path: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  return expected("an integer", value, path);
}

/** Zero is omitted (C-7). */
function count(value: unknown, path: string): number | undefined {
  return integer(value, path) || undefined;
}

function cidr(value: unknown, path: string): string {
  const text = requiredText(value, path);
  const parsed = parseCidr(text);
  if (parsed) return formatCidr(parsed);
  throw new CniError(Code.internal, `invalid CIDR address: ${printable(text)}`);
}

function address(value: unknown, path: string): string | undefined {
  const text = readText(value, path);
  if (text === undefined) return undefined;
  const parsed = parseIp(text);
  if (parsed) return formatIp(parsed);
  throw new CniError(Code.internal, `invalid IP address: ${printable(text)}`);
}

/** Upstream has no quotes here. */
function printable(text: string): string {
  return quote(text).slice(1, -1);
}

function oneOf<T extends string>(...values: T[]): Reader<T> {
  return (value) => {
    for (const known of values) if (known === value) return known;
    return undefined;
  };
}

/** Without null elements: upstream's converters and containerd panic on them (C-10). */
function list<T>(element: Reader<T>): Reader<readonly T[]> {
  return (value, path, unknown) => {
    if (value === undefined || value === null) return undefined;
    if (!Array.isArray(value)) return expected("an array", value, path);
    const elements: T[] = [];
    for (const item of value) {
      const place = `${path}.${elements.length}`;
      const read = item === null ? undefined : element(item, place, unknown);
      elements.push(read ?? fail(place, "null is not allowed here"));
    }
    return elements.length > 0 ? elements : undefined;
  };
}

/** Known keys, in any case as Go reads them, in the order of `fields`; then the others. */
function object<T extends object>(fields: {
  [K in keyof T]-?: Reader<T[K]>;
}): Reader<T> {
  return (value, path, unknown) => {
    if (value === undefined || value === null) return undefined;
    if (!isObject(value)) return expected("an object", value, path);
    const named: JsonObject = {};
    const others: [key: string, field: unknown][] = [];
    for (const [key, field] of Object.entries(value)) {
      const name = Object.hasOwn(fields, key)
        ? key
        : Object.keys(fields).find((one) => isKey(key, one));
      if (name === undefined) others.push([key, field]);
      // Go uses the last of several spellings; null changes nothing.
      else if (field !== null) named[name] = field;
    }
    const known: JsonObject = {};
    for (const [key, read] of Object.entries<Reader<unknown>>(fields)) {
      const field = read(named[key], `${path}.${key}`, unknown);
      if (field !== undefined) known[key] = field;
    }
    if (unknown === "keep")
      for (const [key, field] of others) setOwn(known, key, field);
    // oxlint-disable-next-line no-unsafe-type-assertion -- the edge: `fields` has a reader of the right type for every key of T
    return known as T;
  };
}

/** Go prints an empty object before 1.0.0 and omits it since. */
function always<T>(reader: Reader<T>, empty: T): Reader<T> {
  return (value, path, unknown) => reader(value, path, unknown) ?? empty;
}

function unlessEmpty<T extends object>(reader: Reader<T>): Reader<T> {
  return (value, path, unknown) => {
    const read = reader(value, path, unknown);
    return read && Object.keys(read).length > 0 ? read : undefined;
  };
}

// Functions: a call reads the results of one form, or none.

const dns = () =>
  object<Dns>({
    nameservers: list(requiredText),
    domain: readText,
    search: list(requiredText),
    options: list(requiredText),
  });

const legacyIp = () =>
  object<LegacyIp>({
    ip: cidr,
    gateway: address,
    routes: list(object<Pick<Route, "dst" | "gw">>({ dst: cidr, gw: address })),
  });

/** Since 0.3.0 in every version: upstream gave the old types the new fields (C-5). */
const routes = () =>
  list(
    object<Route>({
      dst: cidr,
      gw: address,
      mtu: count,
      advmss: count,
      priority: count,
      table: integer,
      scope: integer,
    }),
  );

const shapes: Record<ReturnType<typeof formOf>, () => Reader<Result>> = {
  legacy: () =>
    object<LegacyResult>({
      cniVersion: oneOf("0.1.0", "0.2.0"),
      ip4: legacyIp(),
      ip6: legacyIp(),
      dns: always(dns(), {}),
    }),
  "0.3": () =>
    object<ListResult>({
      cniVersion: oneOf("0.3.0", "0.3.1", "0.4.0"),
      interfaces: list(
        object<Pick<Interface, "name" | "mac" | "sandbox">>({
          name: requiredText,
          mac: readText,
          sandbox: readText,
        }),
      ),
      ips: list(
        object<IpConfig>({
          version: requiredText,
          interface: integer,
          address: cidr,
          gateway: address,
        }),
      ),
      routes: routes(),
      dns: always(dns(), {}),
    }),
  "1": () =>
    object<ListResult>({
      cniVersion: oneOf("1.0.0", "1.1.0"),
      interfaces: list(
        object<Interface>({
          name: requiredText,
          mac: readText,
          mtu: count,
          sandbox: readText,
          socketPath: readText,
          pciID: readText,
        }),
      ),
      ips: list(
        object<Omit<IpConfig, "version">>({
          interface: integer,
          address: cidr,
          gateway: address,
        }),
      ),
      routes: routes(),
      dns: unlessEmpty(dns()),
    }),
};
