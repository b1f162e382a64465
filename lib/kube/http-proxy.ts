/**
 * Requests by `fetch`: through the proxy of a kubeconfig's `proxy-url`, and for
 * the commands. It owns the options that keep the environment out of it. Loaded
 * only by who needs it, because `fetch` costs what a whole call costs otherwise.
 */
import type { Access } from "./access.ts";
import { readBody } from "./body.ts";
import type { Credential } from "./credential.ts";
import type { HttpRequest } from "./http.ts";
import type { HttpResponse } from "./http-response.ts";

/** As `Send` of http.ts. */
export async function sendByProxy(
  { method, path, body }: HttpRequest,
  access: Access,
  credential: Credential,
  signal: AbortSignal,
): Promise<HttpResponse> {
  const response = await fetch(access.server + path, {
    method,
    headers: {
      accept: "application/json",
      // A compressed answer could be larger than its limit before we see it.
      "accept-encoding": "identity",
      ...identifying(credential),
      ...(body && { "content-type": body.contentType }),
    },
    ...(body && { body: body.text }),
    decompress: false,
    signal,
    ...guarded(access, credential),
  });
  const { text } = await readBody(response);
  const retryAfter = response.headers.get("retry-after");
  return {
    status: response.status,
    ...(text !== undefined && { text }),
    ...(retryAfter !== null && { retryAfter }),
  };
}

/** The headers that say who we are. */
export function identifying({
  authorization,
}: Credential): Record<string, string> {
  return {
    "user-agent": "genie",
    ...(authorization !== undefined && { authorization }),
  };
}

/** Every option is stated: each of these defaults is the environment's to change. */
export function guarded(
  { proxy, tls }: Access,
  { certificate, key }: Credential,
): BunFetchRequestInit {
  return {
    // NO_PROXY is the environment's as well.
    proxy: proxy && { url: proxy, respectNoProxy: false },
    verbose: false,
    redirect: "error",
    ...(tls && {
      tls: {
        ...tls,
        ...(certificate !== undefined && { cert: certificate }),
        ...(key !== undefined && { key }),
      },
    }),
  };
}
