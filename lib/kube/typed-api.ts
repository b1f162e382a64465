/**
 * The API server by the typed API of @kubernetes/client-node, for commands and the
 * agent. Under Bun its own HTTP ignores authorities and client certificates, so genie's
 * HTTP takes its place. Loading it costs about 20 ms; a pod never does.
 */
import type * as clientNode from "@kubernetes/client-node";
import type {
  AdmissionregistrationV1Api,
  AuthenticationV1Api,
  AuthorizationV1Api,
  CoreV1Api,
  VersionApi,
} from "@kubernetes/client-node";
import { Deadline } from "../linux/deadline.ts";
import { errnoOf, messageOf } from "../linux/errno.ts";
import { CniError } from "../cni/error.ts";
import { own } from "../cni/json.ts";
import {
  type Access,
  type KubeOptions,
  type Surroundings,
  openAccess,
  serviceAccountDirectory,
} from "./access/access.ts";
import {
  ApiError,
  type Failure,
  connectionFailure,
  passingText,
  statusText,
} from "./api-error.ts";
import { bodyLimit } from "../http/http-response.ts";
import { type Init, fetchApi, readBody } from "./api-fetch.ts";
import { type Session, createSession } from "./request.ts";

export interface Api {
  server: string;
  admission: AdmissionregistrationV1Api;
  core: CoreV1Api;
  authorization: AuthorizationV1Api;
  authentication: AuthenticationV1Api;
  version: VersionApi;
  /**
   * A request for a path with its query, for what the typed API does slowly or not at all.
   * Throws 7, {@link Unreachable}, and the reason of an aborted signal.
   */
  send(
    path: string,
    signal: AbortSignal,
    change?: ApiChange,
  ): Promise<Response>;
}

/** A new object, or a merge patch. */
export interface ApiChange {
  method: "POST" | "PATCH";
  body: object;
}

/** No response: the server is away, or something else is there. */
export class Unreachable extends ApiError {
  /** Whether the server is away: refused, reset, no response in time, no route. */
  readonly isAway: boolean;

  constructor({ what, transient }: Failure, cause: unknown) {
    super(what);
    this.cause = cause;
    this.isAway = transient;
  }
}

/** Milliseconds of one call. */
const limitMs = 5000;

/**
 * Throws 7 for a configuration without a usable server. Sends no request. Server and
 * credential are read again, by `options`, after a 401 and after a failed connection.
 */
export async function openApi(
  options: KubeOptions | (() => KubeOptions),
  env: Surroundings["env"],
  surroundings: Partial<Surroundings> = {},
): Promise<Api> {
  const read = typeof options === "function" ? options : () => options;
  const session = createSession(async () =>
    openAccess(read(), {
      env,
      serviceAccount: serviceAccountDirectory,
      ...surroundings,
    }),
  );
  const { server } = await session.access();
  const client = await import("@kubernetes/client-node");
  const send: SendInit = (path, init, signal) =>
    sendRenewing(session, path, init, signal);
  const configuration = client.createConfiguration({
    baseServer: new client.ServerConfiguration(server, {}),
    httpApi: client.wrapHttpLibrary({
      send: (call) => sendTyped(client, server, call, send),
    }),
  });
  return {
    server,
    admission: new client.AdmissionregistrationV1Api(configuration),
    core: new client.CoreV1Api(configuration),
    authorization: new client.AuthorizationV1Api(configuration),
    authentication: new client.AuthenticationV1Api(configuration),
    version: new client.VersionApi(configuration),
    send: (path, signal, change) => send(path, initOf(change), signal),
  };
}

type SendInit = (
  path: string,
  init: Init,
  signal: AbortSignal,
) => Promise<Response>;

/** After a 401, the credential is read again and the request repeated once. */
async function sendRenewing(
  session: Session,
  path: string,
  init: Init,
  signal: AbortSignal,
): Promise<Response> {
  for (let isRenewed = false; ; isRenewed = true) {
    const access = await session.access();
    try {
      const response = await request(access, path, init, signal);
      if (response.status !== 401 || isRenewed) return response;
      await response.body?.cancel();
      session.renew(access);
    } catch (error) {
      if (error instanceof Unreachable) session.renew(access);
      throw error;
    }
  }
}

/** A request of the typed API, and its response. */
async function sendTyped(
  client: typeof clientNode,
  server: string,
  call: clientNode.RequestContext,
  send: SendInit,
): Promise<clientNode.ResponseContext> {
  const response = await send(
    call.getUrl().slice(server.length),
    {
      method: call.getHttpMethod(),
      headers: call.getHeaders(),
      ...bodyOf(call.getBody()),
    },
    AbortSignal.timeout(limitMs),
  );
  const bytes = response.arrayBuffer().then((buffer) => Buffer.from(buffer));
  return new client.ResponseContext(
    response.status,
    Object.fromEntries(response.headers.entries()),
    new client.SelfDecodingBody(bytes),
  );
}

function initOf(change: ApiChange | undefined): Init {
  if (!change) return { method: "GET", headers: {} };
  const { method, body } = change;
  const type = method === "PATCH" ? "merge-patch+json" : "json";
  const headers = { "content-type": `application/${type}` };
  return { method, headers, body: JSON.stringify(body) };
}

/** The failure in one line; client-node's own message contains the whole response. */
export function apiProblem(error: unknown): string {
  const broken = passingText(errnoOf(error));
  if (broken !== undefined) return broken;
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

async function request(
  access: Access,
  path: string,
  init: Init,
  signal: AbortSignal,
): Promise<Response> {
  const { server } = access;
  const credential = await access.credential(new Deadline(limitMs));
  try {
    return await fetchApi(path, init, access, credential, signal);
  } catch (cause) {
    const isLate = signal.aborted && isTimeout(signal.reason);
    if (signal.aborted && !isLate) throw signal.reason;
    const code = isLate ? "ETIMEDOUT" : errnoOf(cause);
    throw new Unreachable(connectionFailure(server, code), cause);
  }
}

/** Whether a signal was aborted by its time limit. */
export function isTimeout(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === "TimeoutError";
}

/** The value of a response in JSON of at most `limit` bytes. Throws Error, and the connection's. */
export async function jsonOf(
  response: Response,
  limit = bodyLimit,
): Promise<unknown> {
  const text = await readBody(response, limit);
  if (text !== undefined) return JSON.parse(text);
  throw new Error(`the response is larger than ${limit >> 20} MiB`);
}
