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
  let kept: { connection: Connection; access: Access } | undefined;
  // The client certificate is the same as long as the access is.
  const open = (access: Access, { client }: Credential, file?: string) => {
    if (kept?.access !== access || !kept.connection.isOpen) {
      const { server: url, tls } = access;
      const server = { url, tls: tls && { ...tls, ...client } };
      kept = { connection: new Connection(server, file), access };
    }
    return kept.connection;
  };
  return {
    connect(access, credential) {
      if (access.proxy === false) open(access, credential, sessionFile);
    },
    async send(request, access, credential, signal) {
      if (access.proxy !== false) {
        const { sendByProxy } = await import("./api-fetch.ts");
        return sendByProxy(request, access, credential, signal);
      }
      const { authorization } = credential;
      // No session at the second connection: one that another pod has just kept may fail too.
      for (let file = sessionFile; ; file = undefined) {
        const connection = open(access, credential, file);
        const response = await connection.send(request, authorization, signal);
        // Undefined at most once after a response of that connection.
        if (response) return response;
      }
    },
  };
}
