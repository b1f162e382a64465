/**
 * URLs of API servers and proxies, as Go's clients read them (configuration.md):
 * `https://[10.96.0.1]:443` is that address. The problem of a refused URL quotes
 * nothing: a URL may contain a password. Pure.
 */
import { parseIp } from "../../linux/address.ts";
import { wholeNumber } from "../../linux/text.ts";
import type { Env } from "../../cni/environment.ts";

export interface ServerUrl {
  /** Origin and path without final slash, the prefix of `/api` and `/apis`. */
  root: string;
  /** From `user:password@`: Go's clients send it in place of other credentials. */
  login?: { username: string; password: string };
}

/** The text after the quoted URL in a message. */
interface UrlProblem {
  problem: string;
}

const unprintable = "it has a blank, a backslash or a control character";
/** `xn--` with anything that is not Punycode. */
const invalidName = "the host is no valid name";

/**
 * `host:port` is https. With `isRoot`, a path from `/api/` on is ignored:
 * CNI-Genie's samples have `https://host/api/v1/` as `k8s_api_root`.
 */
export function readServerUrl(
  text: string,
  { isRoot }: { isRoot: boolean },
): ServerUrl | UrlProblem {
  const parts = split(text);
  if (parts === undefined) return { problem: unprintable };
  const { scheme, login, host } = parts;
  const path = isRoot ? withoutApi(parts.path) : parts.path;
  if (scheme === undefined && path !== "" && path !== "/")
    return { problem: "expected a URL or host:port" };
  if (scheme !== "https" && scheme !== "http" && scheme !== undefined)
    return { problem: "expected an http or https URL" };
  const authority = readAuthority(host);
  if (typeof authority !== "string") return authority;
  const url = URL.parse(`${scheme ?? "https"}://${authority}${path}`);
  if (!url) return { problem: invalidName };
  const { origin, pathname } = url;
  let end = pathname.length;
  while (pathname[end - 1] === "/") end--;
  return {
    root: origin + pathname.slice(0, end),
    ...(login !== undefined && { login: readLogin(login) }),
  };
}

/** The URL of an http or https proxy, for fetch. */
export function readProxyUrl(text: string): { url: string } | UrlProblem {
  const parts = split(text);
  if (parts === undefined) return { problem: unprintable };
  const { scheme, login, host } = parts;
  if (scheme?.startsWith("socks"))
    return { problem: "SOCKS proxies are not supported, only http and https" };
  if (scheme !== "https" && scheme !== "http")
    return { problem: "expected an http or https URL" };
  const authority = readAuthority(host);
  if (typeof authority !== "string") return authority;
  const before = login === undefined ? "" : `${login}@`;
  const url = URL.parse(`${scheme}://${before}${authority}`);
  return url ? { url: url.href } : { problem: invalidName };
}

/** The URL for a message, without password and query. */
export function withoutSecrets(text: string): string {
  const start = authorityStart(text);
  const query = firstOf(text, "?#", start);
  const shown = query < text.length ? `${text.slice(0, query)}?…` : text;
  // A password may contain a slash: everything before the last @ may be one.
  const at = text.lastIndexOf("@");
  if (at < start) return shown;
  return `${text.slice(0, start)}…${at < query ? shown.slice(at) : "@…"}`;
}

/** The server in a pod's environment; undefined outside of a pod. */
export function inClusterServer(env: Env): string | undefined {
  const host = env["KUBERNETES_SERVICE_HOST"];
  const port = env["KUBERNETES_SERVICE_PORT"];
  if (!host || !port) return undefined;
  const isBare = host.includes(":") && !host.startsWith("[");
  return `https://${isBare ? `[${host}]` : host}:${port}`;
}

interface Parts {
  /** In lower case. */
  scheme: string | undefined;
  /** The part before `@`, if any. */
  login?: string;
  /** Host with port, and brackets around an IPv6 address. */
  host: string;
  path: string;
}

/** Undefined if readers disagree about the URL. Drops query and fragment, as client-go does. */
function split(text: string): Parts | undefined {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code <= 0x20 || code === 0x5c || code === 0x7f) return undefined;
  }
  const start = authorityStart(text);
  const end = firstOf(text, "/?#", start);
  const authority = text.slice(start, end);
  const at = authority.lastIndexOf("@");
  return {
    scheme: start === 0 ? undefined : text.slice(0, start - 3).toLowerCase(),
    ...(at >= 0 && { login: authority.slice(0, at) }),
    host: authority.slice(at + 1),
    path: text.slice(end, firstOf(text, "?#", end)),
  };
}

function authorityStart(text: string): number {
  const at = text.indexOf("://");
  return at < 0 ? 0 : at + 3;
}

/** The position of the first of these characters, else the end. */
function firstOf(text: string, characters: string, from: number): number {
  let at = from;
  while (at < text.length && !characters.includes(text.charAt(at))) at++;
  return at;
}

/** Host and port, if all readers agree on them. */
function readAuthority(authority: string): string | UrlProblem {
  const colon = authority.lastIndexOf(":");
  const bracket = authority.lastIndexOf("]");
  const end = colon > bracket ? colon : authority.length;
  const host = readHost(authority.slice(0, end));
  if (typeof host !== "string") return host;
  const port = authority.slice(end + 1);
  const number = wholeNumber(port) ?? 0;
  if (port !== "" && (number < 1 || number > 65_535))
    return { problem: "the port is not a number from 1 to 65535" };
  return port === "" ? host : `${host}:${number}`;
}

function readHost(host: string): string | UrlProblem {
  if (host === "") return { problem: "it has no host" };
  if (!host.startsWith("[") && !host.endsWith("]")) {
    if (host.includes(":"))
      return { problem: "an IPv6 address needs brackets" };
    return readName(host);
  }
  if (!host.startsWith("[") || !host.endsWith("]") || host.length < 3)
    return { problem: "the brackets hold no IPv6 address" };
  const inside = host.slice(1, -1);
  if (inside.includes("%"))
    return { problem: "an address with a zone is not supported" };
  // Go's clients remove the brackets, whatever is in them.
  if (!inside.includes(":")) return readName(inside);
  if (parseIp(inside)) return host;
  const [address = ""] = inside.split(":");
  return {
    problem: parseIp(address)
      ? "the port belongs behind the brackets"
      : "the brackets hold no IPv6 address",
  };
}

/** A name or an IPv4 address. */
function readName(text: string): string | UrlProblem {
  if (parseIp(text)) return text;
  const isAscii = !/[\u0080-\uffff]/.test(text);
  const name = isAscii ? text : internationalized(text);
  if (name === undefined || !/^[\w.~-]+$/.test(name))
    return { problem: "the host has a character that no name has" };
  // Some readers read 10.1 as 10.0.0.1, and 010.0.0.1 as 8.0.0.1.
  if (/(?:^|\.)(?:\d+|0x[\da-f]*)\.?$/i.test(name))
    return { problem: "the host is no IPv4 address" };
  return name;
}

/** In Punycode, as Go's clients resolve it. */
function internationalized(name: string): string | undefined {
  return URL.parse(`https://${name}`)?.hostname;
}

function withoutApi(path: string): string {
  const at = `${path}/`.indexOf("/api/");
  return at < 0 ? path : path.slice(0, at);
}

function readLogin(login: string): { username: string; password: string } {
  const colon = firstOf(login, ":", 0);
  return {
    username: decoded(login.slice(0, colon)),
    password: decoded(login.slice(colon + 1)),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
