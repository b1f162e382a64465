/**
 * Requests by `fetch`: through the `proxy-url` of a kubeconfig, and for commands.
 * Its options exclude the environment. Loaded only if needed: `fetch` costs as much
 * as a whole call.
 */
import type { Access } from "./access.ts";
import type { Credential } from "./credential.ts";
import type { HttpRequest } from "./connection.ts";
import { type HttpResponse, bodyLimit } from "./http-response.ts";

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

/** The body of a fetched response, up to the limit of every response. */
interface Body {
  /** Undefined if it exceeds the limit. */
  text?: string;
}

/** Stops reading at the limit. Throws the connection's error. */
async function readBody(response: Response): Promise<Body> {
  const length = Number(response.headers.get("content-length") ?? Number.NaN);
  if (length > bodyLimit) {
    await response.body?.cancel();
    return {};
  }
  // A response usually states its length: one read costs less than many.
  return length >= 0 ? { text: await response.text() } : readStream(response);
}

async function readStream(response: Response): Promise<Body> {
  const body: ReadableStream<Uint8Array> | null = response.body;
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Leaving the loop cancels the stream, which closes the connection.
  for await (const chunk of body ?? []) {
    size += chunk.byteLength;
    if (size > bodyLimit) return {};
    chunks.push(chunk);
  }
  return { text: Buffer.concat(chunks).toString("utf8") };
}
