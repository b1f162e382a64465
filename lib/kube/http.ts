/**
 * Requests to the API server as HTTP/1.1 over one persistent connection (RFC 9112).
 * It owns the format of a request and the choice of the connection; `http-proxy`
 * has proxies.
 */
import { parseIp } from "../linux/address.ts";
import { bytesOf } from "../linux/text.ts";
import type { Access } from "./access.ts";
import { Connection } from "./connection.ts";
import type { Credential } from "./credential.ts";
import type { HttpResponse } from "./http-response.ts";

export interface HttpRequest {
  method: "GET" | "PATCH";
  /** Encoded, with leading slash. */
  path: string;
  body?: { contentType: string; text: string };
}

/** Throws an error with Bun's code. */
export type Send = (
  request: HttpRequest,
  access: Access,
  credential: Credential,
  signal: AbortSignal,
) => Promise<HttpResponse>;

/** Uses one connection while it lasts; another client certificate needs another connection. */
export function createSend(): Send {
  let kept: Kept | undefined;
  return async (request, access, credential, signal) => {
    for (;;) {
      if (!kept || !fits(kept, access, credential))
        kept = connect(access, credential);
      const { connection, host, prefix } = kept;
      const bytes = requestBytes(request, host, prefix, credential);
      const response = await connection.ask(bytes, signal);
      // Undefined at most once after a response of that connection.
      if (response) return response;
    }
  };
}

interface Kept {
  connection: Connection;
  access: Access;
  certificate: string | undefined;
  /** The value of that header. */
  host: string;
  /** Before the path. */
  prefix: string;
}

function fits(
  { connection, access, certificate }: Kept,
  wanted: Access,
  credential: Credential,
): boolean {
  return (
    !connection.ended &&
    access === wanted &&
    certificate === credential.certificate
  );
}

function connect(access: Access, { certificate, key }: Credential): Kept {
  const { protocol, hostname, port, host, pathname } = new URL(access.server);
  const isV6 = hostname.startsWith("[");
  const isAddress = isV6 || parseIp(hostname) !== undefined;
  const connection = new Connection({
    hostname: isV6 ? hostname.slice(1, -1) : hostname,
    port: Number(port || (protocol === "https:" ? 443 : 80)),
    ...(access.tls && {
      tls: {
        // RFC 6066 §3: the server name is no address and has no final dot.
        // Bun verifies the address all the same.
        serverName: isAddress ? "" : withoutDot(hostname),
        ...access.tls,
        ...(certificate !== undefined && { cert: certificate }),
        ...(key !== undefined && { key }),
      },
    }),
  });
  const prefix = pathname === "/" ? "" : pathname;
  return { connection, access, certificate, host, prefix };
}

function withoutDot(hostname: string): string {
  return hostname.endsWith(".") ? hostname.slice(0, -1) : hostname;
}

/** Path, host and credential were validated before: none contains a line end. */
function requestBytes(
  { method, path, body }: HttpRequest,
  host: string,
  prefix: string,
  { authorization }: Credential,
): Uint8Array {
  let head = `${method} ${prefix}${path} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: genie\r\nAccept: application/json\r\n`;
  if (authorization !== undefined)
    head += `Authorization: ${authorization}\r\n`;
  if (!body) return bytesOf(`${head}\r\n`);
  const length = bytesOf(body.text).byteLength;
  return bytesOf(
    `${head}Content-Type: ${body.contentType}\r\nContent-Length: ${length}\r\n\r\n${body.text}`,
  );
}
