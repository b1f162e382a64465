/**
 * Results of ADD in the wire form of every protocol version: reads the output of a
 * plugin and converts between versions (cni-plugin.md §1.9). Validates it, so that no
 * runtime fails on it when we print it (C-10). Pure.
 */
import type { Family } from "../linux/address.ts";
import { Code, CniError } from "./error.ts";
import { quote } from "../linux/text.ts";
import { type JsonObject, goField, own } from "./json.ts";
import {
  fail,
  formOf,
  type Dns,
  type Interface,
  type IpConfig,
  type LegacyIp,
  type LegacyResult,
  type ListResult,
  readResult,
  readText,
  type Result,
  type Route,
  type Unknown,
} from "./result-shape.ts";
import { type CniVersion, isSupported, latestVersion } from "./version.ts";

export type {
  Dns,
  Interface,
  IpConfig,
  LegacyIp,
  LegacyResult,
  ListResult,
  Result,
  Route,
};

/** A result of version 1.1.0 with all its keys at the top, for reading. */
export interface ModernResult extends ListResult {
  cniVersion: typeof latestVersion;
  interfaces: readonly Interface[];
  ips: readonly IpConfig[];
  routes: readonly Route[];
  dns: Dns;
}

/**
 * The result in a plugin's decoded output or in `prevResult`. Without a version
 * of its own it has the configuration's (C-1). Throws code 999 for one that is
 * not to be trusted, with a dot path to the field.
 */
export function parseResult(value: unknown, configVersion: CniVersion): Result {
  // libcni takes `null` for an empty result (P-ADD-2).
  const object = value ?? {};
  const declared = readText(goField(object, "cniVersion"), "result.cniVersion");
  const version = declared ?? configVersion;
  if (!isSupported(version)) {
    throw new CniError(
      Code.internal,
      `unsupported CNI result version ${quote(version)}`,
    );
  }
  const result = read(object, version, "keep");
  if (!isLegacy(result)) checkIndexes(result);
  return result;
}

/**
 * The same result in another version (C-3 to C-6). Fields that no version
 * knows are kept within a family, dropped between families (C-9). Throws code
 * 999 where the other version cannot express it.
 */
export function convertResult(result: Result, version: CniVersion): Result {
  const [from, to] = [formOf(result.cniVersion), formOf(version)];
  if (from === to && canonical.has(result))
    return result.cniVersion === version
      ? result
      : addCanonical({ ...result, cniVersion: version });
  if (from === to) return read(result, version, "keep");
  const known = readResult(result, result.cniVersion, "drop");
  const list = isLegacy(known)
    ? fromLegacy(known)
    : from === "1"
      ? withVersions(known)
      : known;
  return read(to === "legacy" ? toLegacy(list) : list, version, "drop");
}

/** Results that were read here: reading one again would change nothing. */
const canonical = new WeakSet<Result>();

function addCanonical(result: Result): Result {
  canonical.add(result);
  return result;
}

function read(value: unknown, version: CniVersion, unknown: Unknown): Result {
  return addCanonical(readResult(value, version, unknown));
}

/**
 * A result that was printed by JSON.stringify and has not been changed since.
 * undefined for one of a version that is not ours.
 */
export function resumeResult(value: JsonObject): Result | undefined {
  const version = own(value, "cniVersion");
  if (typeof version !== "string" || !isSupported(version)) return undefined;
  // oxlint-disable-next-line no-unsafe-type-assertion -- the caller has proof that it was one
  return addCanonical(value as unknown as Result);
}

/** The 1.1.0 view of a result. */
export function modernResult(result: Result): ModernResult {
  const converted = convertResult(result, latestVersion);
  const empty = { interfaces: [], ips: [], routes: [], dns: {} };
  return { ...empty, ...converted, cniVersion: latestVersion };
}

function isLegacy(result: Result): result is LegacyResult {
  return formOf(result.cniVersion) === "legacy";
}

/** An index outside `interfaces` kills containerd (container-runtimes.md §2.9). */
function checkIndexes({ interfaces = [], ips = [] }: ListResult): void {
  for (const ip of ips) {
    const index = ip.interface;
    if (index === undefined || interfaces[index]) continue;
    fail(
      `result.ips.${ips.indexOf(ip)}.interface`,
      `no interface ${index} among ${interfaces.length}`,
    );
  }
}

/** C-4. */
function fromLegacy({ ip4, ip6, dns = {} }: LegacyResult): ListResult {
  return {
    cniVersion: "0.4.0",
    ips: [...legacyIps("4", ip4), ...legacyIps("6", ip6)],
    routes: [...(ip4?.routes ?? []), ...(ip6?.routes ?? [])],
    dns,
  };
}

function legacyIps(version: Family, config: LegacyIp | undefined): IpConfig[] {
  if (!config) return [];
  const { ip: address, gateway } = config;
  return [{ version, address, ...(gateway !== undefined && { gateway }) }];
}

/** C-3: by the declared version, whatever the address is. */
function toLegacy({
  ips = [],
  routes = [],
  dns = {},
}: ListResult): LegacyResult {
  const configOf = (version: Family): LegacyIp | undefined => {
    const first = ips.find((ip) => ip.version === version);
    if (!first) return undefined;
    return {
      ip: first.address,
      ...(first.gateway !== undefined && { gateway: first.gateway }),
      routes: routes.filter(({ dst }) => familyOf(dst) === version),
    };
  };
  const [ip4, ip6] = [configOf("4"), configOf("6")];
  if (!ip4 && !ip6) {
    throw new CniError(Code.internal, "cannot convert: no valid IP addresses");
  }
  return { cniVersion: "0.2.0", ...(ip4 && { ip4 }), ...(ip6 && { ip6 }), dns };
}

/** C-5: 1.x has no version, it comes from the address. */
function withVersions(result: ListResult): ListResult {
  const ips = (result.ips ?? []).map((ip) => ({
    ...ip,
    version: familyOf(ip.address),
  }));
  return { ...result, ips };
}

/** For a valid CIDR. */
function familyOf(cidr: string): Family {
  return cidr.includes(":") ? "6" : "4";
}
