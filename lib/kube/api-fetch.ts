/**
 * Requests to the API server by `fetch`: for commands and the agent, and for a pod whose
 * kubeconfig has a `proxy-url`.
 */
import type { HttpRequest } from "../http/http-request.ts";
import { type HttpResponse, bodyLimit } from "../http/http-response.ts";
import type { Access } from "./access/access.ts";
import type { Credential } from "./access/credential.ts";

export interface Init {
  method: string;
  headers: Record<string, string>;
  body?: string;
  decompress?: boolean;
}

/** Sets every option: the environment can change each default. Throws the error of `fetch`. */
export function fetchApi(
  path: string,
  init: Init,
  { server, proxy, tls }: Access,
  { authorization, client }: Credential,
  signal: AbortSignal,
): Promise<Response> {
  return fetch(server + path, {
    ...init,
    headers: {
      ...init.headers,
      "user-agent": "genie",
      ...(authorization !== undefined && { authorization }),
    },
    signal,
    // NO_PROXY comes from the environment too.
    proxy: proxy && { url: proxy, respectNoProxy: false },
    verbose: false,
    redirect: "error",
    ...(tls && { tls: { ...tls, ...client } }),
  });
}

/** A pod's request, as `Send`. */
export async function sendByProxy(
  { method, path, body }: HttpRequest,
  access: Access,
  credential: Credential,
  signal: AbortSignal,
): Promise<HttpResponse> {
  const init = {
    method,
    headers: {
      accept: "application/json",
      // A compressed response could exceed its limit before it is visible.
      "accept-encoding": "identity",
      ...(body && { "content-type": body.contentType }),
    },
    ...(body && { body: body.text }),
    decompress: false,
  };
  const response = await fetchApi(path, init, access, credential, signal);
  const text = await readBody(response);
  const retryAfter = response.headers.get("retry-after");
  return {
    status: response.status,
    ...(text !== undefined && { text }),
    ...(retryAfter !== null && { retryAfter }),
  };
}

/** Undefined if it exceeds the limit. Throws the connection's error. */
export async function readBody(
  response: Response,
  limit = bodyLimit,
): Promise<string | undefined> {
  const body: ReadableStream<Uint8Array> | null = response.body;
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Leaving the loop cancels the stream, which closes the connection.
  for await (const chunk of body ?? []) {
    size += chunk.byteLength;
    if (size > limit) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
