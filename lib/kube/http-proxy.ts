/**
 * Requests by `fetch`: through the `proxy-url` of a kubeconfig, and for commands.
 * Its options exclude the environment. Loaded only if needed: `fetch` costs as much
 * as a whole call.
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
      // A compressed response could exceed its limit before it is visible.
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

/** The headers with the credential. */
export function identifying({
  authorization,
}: Credential): Record<string, string> {
  return {
    "user-agent": "genie",
    ...(authorization !== undefined && { authorization }),
  };
}

/** Sets every option: the environment can change each default. */
export function guarded(
  { proxy, tls }: Access,
  { certificate, key }: Credential,
): BunFetchRequestInit {
  return {
    // NO_PROXY comes from the environment too.
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
