/**
 * How a pod's requests reach the API server: over one connection while it lasts, or
 * through the proxy of the kubeconfig.
 */
import { Connection } from "../http/connection.ts";
import type { HttpRequest } from "../http/http-request.ts";
import type { HttpResponse } from "../http/http-response.ts";
import type { Access } from "./access/access.ts";
import type { Credential } from "./access/credential.ts";

/** Throws an error with Bun's code. */
export type Send = (
  request: HttpRequest,
  access: Access,
  credential: Credential,
  signal: AbortSignal,
) => Promise<HttpResponse>;

export interface Transport {
  send: Send;
  /** Opens the connection for a request that follows; a failure is that request's. */
  connect(access: Access, credential: Credential): void;
}

/** `sessionFile` is where TLS sessions are kept; absent: nowhere. */
export function createTransport(sessionFile?: string): Transport {
  let kept: Connection | undefined;
  let access: Access | undefined;
  let client: Credential["client"];
  /** Another access or client certificate needs another connection. */
  const open = (to: Access, by: Credential, file?: string): Connection => {
    if (kept?.isOpen && access === to && client === by.client) return kept;
    access = to;
    ({ client } = by);
    const tls = to.tls && { ...to.tls, ...client };
    return (kept = new Connection({ url: to.server, tls }, file));
  };
  return {
    connect(to, by) {
      if (to.proxy === false) open(to, by, sessionFile);
    },
    async send(request, to, by, signal) {
      if (to.proxy !== false) {
        const { sendByProxy } = await import("./api-fetch.ts");
        return sendByProxy(request, to, by, signal);
      }
      // No session at the second connection: one that another pod has just kept may fail too.
      for (let file = sessionFile; ; file = undefined) {
        const connection = open(to, by, file);
        const response = await connection.send(
          request,
          by.authorization,
          signal,
        );
        // Undefined at most once after a response of that connection.
        if (response) return response;
      }
    },
  };
}
