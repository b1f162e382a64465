/**
 * The API server by the typed API of @kubernetes/client-node, for commands. Under
 * Bun its own HTTP ignores authorities and client certificates, so genie's HTTP
 * takes its place. Loading it costs about 20 ms; a pod never does.
 */
import type {
  AdmissionregistrationV1Api,
  AuthenticationV1Api,
  AuthorizationV1Api,
  CoreV1Api,
  VersionApi,
} from "@kubernetes/client-node";
import { Deadline } from "../linux/deadline.ts";
import { Code, CniError } from "../cni/error.ts";
import { errnoOf, messageOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import { own } from "../cni/json.ts";
import { type Access, openAccess } from "../kube/access.ts";
import { connectionFailure, statusText } from "../kube/api-error.ts";
import type { KubeOptions } from "../kube/options.ts";
import { guarded, identifying } from "../kube/http-proxy.ts";
import type { Env } from "./terminal.ts";

export interface Api {
  server: string;
  admission: AdmissionregistrationV1Api;
  core: CoreV1Api;
  authorization: AuthorizationV1Api;
  authentication: AuthenticationV1Api;
  version: VersionApi;
}

/** Milliseconds of one call. */
const limitMs = 5000;

/** Throws 7 for a configuration without a usable server. Sends no request. */
export async function openApi(options: KubeOptions, env: Env): Promise<Api> {
  const access = await openAccess(options, {
    env,
    serviceAccount: "/var/run/secrets/kubernetes.io/serviceaccount",
  });
  const client = await import("@kubernetes/client-node");
  const configuration = client.createConfiguration({
    baseServer: new client.ServerConfiguration(access.server, {}),
    httpApi: client.wrapHttpLibrary({
      async send(request) {
        const response = await send(access, request.getUrl(), {
          method: request.getHttpMethod(),
          headers: request.getHeaders(),
          ...bodyOf(request.getBody()),
        });
        const bytes = response
          .arrayBuffer()
          .then((buffer) => Buffer.from(buffer));
        return new client.ResponseContext(
          response.status,
          Object.fromEntries(response.headers.entries()),
          new client.SelfDecodingBody(bytes),
        );
      },
    }),
  });
  return {
    server: access.server,
    admission: new client.AdmissionregistrationV1Api(configuration),
    core: new client.CoreV1Api(configuration),
    authorization: new client.AuthorizationV1Api(configuration),
    authentication: new client.AuthenticationV1Api(configuration),
    version: new client.VersionApi(configuration),
  };
}

/** The failure in one line; client-node's own message contains the whole response. */
export function apiProblem(error: unknown): string {
  // The class of the error hides its fields from `own`, which takes plain objects.
  const fields = Object.fromEntries(Object.entries(error ?? {}));
  const code = own(fields, "code");
  const body = own(fields, "body");
  if (typeof code !== "number" || error instanceof CniError)
    return messageOf(error);
  return code === 403 && unrelated.test(JSON.stringify(body ?? ""))
    ? "not found on this node: the node's credential sees the pods of its own node only"
    : statusText(code);
}

/**
 * The node authorizer's message for an object that no pod of the node has, and for
 * one that does not exist.
 */
const unrelated = /no (?:relationship|path) found/;

function bodyOf(body: unknown): { body?: string } {
  return typeof body === "string" ? { body } : {};
}

async function send(
  access: Access,
  url: string,
  init: { method: string; headers: Record<string, string>; body?: string },
): Promise<Response> {
  const { server } = access;
  const deadline = new Deadline(limitMs);
  const credential = await access.credential(deadline);
  const signal = AbortSignal.timeout(Math.ceil(deadline.remaining));
  try {
    return await fetch(url, {
      ...init,
      headers: { ...init.headers, ...identifying(credential) },
      signal,
      ...guarded(access, credential),
    });
  } catch (cause) {
    const what = signal.aborted
      ? `server ${quote(server)}: no response in time`
      : connectionFailure(server, errnoOf(cause)).what;
    throw new CniError(Code.tryAgainLater, what, { cause });
  }
}
