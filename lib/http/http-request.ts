/** One HTTP/1.1 request as bytes, and the address of its server. Pure. */
import { parseIp } from "../linux/address.ts";
import { bytesOf } from "../linux/text.ts";

export interface HttpRequest {
  method: "GET" | "PATCH";
  /** Encoded, with leading slash. */
  path: string;
  body?: { contentType: string; text: string };
}

/** A server, and how it and the client identify themselves. */
export interface HttpServer {
  /** Origin and the prefix of every path, without final slash. */
  url: string;
  /** Undefined for plain HTTP. */
  tls?: Tls | undefined;
}

/** Options of `Bun.connect`. */
export interface Tls {
  ca?: string | string[];
  serverName?: string;
  /** An authority need not be a root, as for Go's clients: clusters have intermediate ones. */
  allowPartialTrustChain?: boolean;
  rejectUnauthorized: boolean;
  /** PEM of the client, with `key`. */
  cert?: string;
  key?: string;
}

export interface Address {
  hostname: string;
  port: number;
  tls?: Tls;
}

export function addressOf({ url, tls }: HttpServer): Address {
  const { protocol, hostname, port } = new URL(url);
  const isV6 = hostname.startsWith("[");
  const isAddress = isV6 || parseIp(hostname) !== undefined;
  // RFC 6066 §3: the server name is no address and has no final dot. Bun verifies the
  // address all the same.
  const serverName = isAddress ? "" : withoutDot(hostname);
  return {
    hostname: isV6 ? hostname.slice(1, -1) : hostname,
    port: Number(port || (protocol === "https:" ? 443 : 80)),
    ...(tls && { tls: { serverName, ...tls } }),
  };
}

function withoutDot(hostname: string): string {
  return hostname.endsWith(".") ? hostname.slice(0, -1) : hostname;
}

/** Path, URL and authorization were validated before: none contains a line end. */
export function requestBytes(
  { method, path, body }: HttpRequest,
  url: string,
  authorization: string | undefined,
): Uint8Array {
  const start = url.indexOf("://") + 3;
  const slash = url.indexOf("/", start);
  const end = slash < 0 ? url.length : slash;
  const host = url.slice(start, end);
  const prefix = url.slice(end);
  let head = `${method} ${prefix}${path} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: genie\r\nAccept: application/json\r\n`;
  if (authorization !== undefined)
    head += `Authorization: ${authorization}\r\n`;
  if (!body) return bytesOf(`${head}\r\n`);
  const length = bytesOf(body.text).byteLength;
  return bytesOf(
    `${head}Content-Type: ${body.contentType}\r\nContent-Length: ${length}\r\n\r\n${body.text}`,
  );
}
