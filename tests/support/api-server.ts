/**
 * An API server for tests, demo and bench: real TLS, bearer tokens and client
 * certificates, pods and network attachment definitions in memory, merge patches
 * as the real one applies them, and faults on demand. It knows nothing of genie.
 *
 * `node:http` over `node:tls`: Bun.serve and `node:https` do not tell whose the
 * client's certificate is.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import {
  type IncomingMessage,
  type ServerResponse,
  createServer as createHttpServer,
} from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Server,
  TLSSocket,
  createServer as createTlsServer,
} from "node:tls";
import { type Certs, type KeyPair, makeCerts } from "./certs.ts";

export interface ApiServerOptions {
  certs?: Certs;
  /** Default: `certs.server`. */
  identity?: KeyPair;
  /** Bearer token → user. Default: `{ "test-token": "genie" }`. */
  tokens?: Record<string, string>;
  /** `name:password` → user. */
  passwords?: Record<string, string>;
  /** Default: everybody may do everything. */
  allow?: (access: Attempt) => boolean;
  /** Before `/api` and `/apis`, as behind Rancher: `/k8s/clusters/c-1`. */
  prefix?: string;
  /** Served versions of resource.k8s.io. Default: v1. */
  resourceVersions?: readonly string[];
  /** Default: 127.0.0.1. */
  host?: string;
}

export interface ApiServer extends AsyncDisposable {
  /** Without a slash at its end. */
  url: string;
  port: number;
  certs: Certs;
  /** Changes take effect at once. */
  tokens: Map<string, string>;
  pods: Store;
  definitions: Store;
  claims: Store;
  /** Each as stored: the selectors spec.nodeName and spec.driver apply. */
  slices: ResourceSlice[];
  /** CNI-Genie's, of the group `alpha.network.k8s.io`. */
  logicalNetworks: Store;
  physicalNetworks: Store;
  events: Store;
  /** Without a namespace: put them with `""`. */
  nodes: Store;
  /** In the order of arrival; the log of a request is complete once it was answered. */
  requests: LoggedRequest[];
  /** From now on, until it is used up. Faults are looked up in the order in which they were injected. */
  inject(fault: Fault): void;
  /** The watches that are open now. */
  watches: number;
  /** Sends every watch how far it has come, as the real server does each minute. */
  bookmark(): void;
  /** Forgets all changes: a watch from before, or one that is sent this, gets 410. */
  compact(): void;
  /** Ends every watch: orderly, or by a closed connection. */
  endWatches(how: "end" | "destroy"): void;
  /** Writes a kubeconfig for this server; the path. Keys given here replace the default ones, undefined removes. */
  kubeconfig(content?: { user?: object; cluster?: object }): string;
  stop(): Promise<void>;
}

export interface LoggedRequest {
  method: string;
  path: string;
  /** undefined: not answered, or the connection was closed. */
  status: number | undefined;
  /** undefined: an unknown user. */
  user: string | undefined;
}

export interface ResourceSlice {
  spec: { nodeName: string; driver: string; [key: string]: unknown };
}

/** A request in the words of RBAC. */
export interface Attempt {
  user: string;
  verb: string;
  resource: string;
  namespace: string;
  name: string;
}

export type Fault = {
  /** Default: every request. */
  match?: (request: LoggedRequest) => boolean;
  /** How many requests it hits. Default: 1. */
  times?: number;
} & (
  | {
      kind: "answer";
      status?: number;
      headers?: Record<string, string>;
      body?: string;
    }
  | { kind: "delay"; ms: number }
  /** Accepts the request and never responds. */
  | { kind: "stall"; reached?: () => void }
  /** Sends half of a response, then nothing more. */
  | { kind: "half"; reached?: () => void }
  | { kind: "close" }
  | { kind: "truncate" }
  /** The object asked for, each so many bytes of it one chunk (RFC 9112 §7.1). */
  | { kind: "chunks"; bytes: number }
  /** An endless `a`, cut after so many bytes; without a length unless `stated`. */
  | { kind: "huge"; bytes: number; stated?: boolean }
);

/** The response without an object: `kind: Status`. */
export function statusFault(
  status: number,
  {
    message = `fault ${status}`,
    headers = {},
    details,
  }: {
    message?: string;
    headers?: Record<string, string>;
    details?: object;
  } = {},
): Fault {
  const body = JSON.stringify(statusObject(status, message, details));
  return { kind: "answer", status, headers, body };
}

/** The response of the real server for every path of a kind that is not installed. */
export const unknownKindFault: Fault = {
  kind: "answer",
  status: 404,
  headers: { "content-type": "text/plain; charset=utf-8" },
  body: "404 page not found\n",
};

/** Listens on a free port. `await using` stops it. */
export async function startApiServer(
  options: ApiServerOptions = {},
): Promise<ApiServer> {
  const certs = options.certs ?? makeCerts();
  const identity = options.identity ?? certs.server;
  const host = options.host ?? "127.0.0.1";
  const double = new Double(options);
  const http = createHttpServer((request, response) => {
    void double.answer(request, response);
  });
  const sockets = new Set<TLSSocket>();
  const server = createTlsServer(
    {
      key: identity.key,
      cert: identity.cert,
      ca: certs.ca.cert,
      requestCert: true,
      rejectUnauthorized: false,
    },
    (socket) => {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.once("close", () => sockets.delete(socket));
      http.emit("connection", socket);
    },
  );
  const port = await listen(server, host);
  const url = `https://${host.includes(":") ? `[${host}]` : host}:${port}${options.prefix ?? ""}`;
  const directory = mkdtempSync(join(tmpdir(), "genie-api-server-"));
  let kubeconfigs = 0;

  const stop = async (): Promise<void> => {
    rmSync(directory, { recursive: true, force: true });
    const { promise, resolve } = Promise.withResolvers<void>();
    server.close(() => resolve());
    for (const socket of sockets) socket.destroy();
    await promise;
  };

  return {
    url,
    port,
    certs,
    tokens: double.tokens,
    pods: double.pods,
    definitions: double.definitions,
    claims: double.claims,
    slices: double.slices,
    logicalNetworks: double.logicalNetworks,
    physicalNetworks: double.physicalNetworks,
    events: double.events,
    nodes: double.nodes,
    requests: double.requests,
    inject: (fault) => void double.faults.push({ ...fault }),
    get watches() {
      return double.watches.size;
    },
    bookmark: () => double.bookmark(),
    compact: () => double.compact(),
    endWatches: (how) => {
      for (const { response, end } of double.watches)
        if (how === "end") end();
        else response.socket?.destroy();
    },
    kubeconfig({ user, cluster } = {}) {
      const [token] = double.tokens.keys();
      const path = join(directory, `kubeconfig-${++kubeconfigs}`);
      const content = kubeconfigOf(
        {
          server: url,
          "certificate-authority-data": Buffer.from(certs.ca.cert).toString(
            "base64",
          ),
          ...cluster,
        },
        user ?? { token },
      );
      writeFileSync(path, Bun.YAML.stringify(content, null, 2));
      return path;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** A stored object; other keys are kept unchanged. */
export interface StoredObject {
  metadata: {
    name: string;
    namespace?: string;
    uid?: string;
    resourceVersion?: string;
    annotations?: Record<string, string>;
    [key: string]: unknown;
  };
  [key: string]: unknown;
}

/** The objects of one resource. What is put in is completed as the real server does: namespace, uid, resourceVersion. */
export class Store {
  readonly #objects = new Map<string, StoredObject>();
  readonly #nextVersion: () => string;
  /** All of them, for watches. */
  readonly changes: Change[] = [];
  readonly listeners = new Set<(change: Change) => void>();

  constructor(nextVersion: () => string) {
    this.#nextVersion = nextVersion;
  }

  list(): StoredObject[] {
    return [...this.#objects.values()];
  }

  #changed(type: Change["type"], object: StoredObject): void {
    const change = { type, object };
    this.changes.push(change);
    for (const listener of this.listeners) listener(change);
  }

  get(namespace: string, name: string): StoredObject | undefined {
    return this.#objects.get(`${namespace}/${name}`);
  }

  put(object: StoredObject): StoredObject {
    const { namespace = "default", uid = crypto.randomUUID() } =
      object.metadata;
    const resourceVersion = this.#nextVersion();
    const stored = {
      ...object,
      metadata: { ...object.metadata, namespace, uid, resourceVersion },
    };
    const key = `${namespace}/${object.metadata.name}`;
    const type = this.#objects.has(key) ? "MODIFIED" : "ADDED";
    this.#objects.set(key, stored);
    this.#changed(type, stored);
    return stored;
  }

  delete(namespace: string, name: string): boolean {
    const object = this.get(namespace, name);
    if (!object) return false;
    this.#objects.delete(`${namespace}/${name}`);
    const resourceVersion = this.#nextVersion();
    const metadata = { ...object.metadata, resourceVersion };
    this.#changed("DELETED", { ...object, metadata });
    return true;
  }
}

interface Change {
  type: "ADDED" | "MODIFIED" | "DELETED";
  object: StoredObject;
}

/** An open WATCH. */
interface OpenWatch {
  response: ServerResponse;
  send(type: string, object: object): void;
  end(): void;
}

type Answer = { status: number; body: object };

/** The server without its socket. */
class Double {
  readonly tokens: Map<string, string>;
  readonly requests: LoggedRequest[] = [];
  readonly faults: Fault[] = [];
  readonly pods: Store;
  readonly definitions: Store;
  readonly claims: Store;
  readonly slices: ResourceSlice[] = [];
  readonly watches = new Set<OpenWatch>();
  readonly logicalNetworks: Store;
  readonly physicalNetworks: Store;
  readonly events: Store;
  readonly nodes: Store;
  readonly #options: ApiServerOptions;
  #version = 1;
  /** The oldest version from which a watch can begin. */
  #oldest = 0;

  constructor(options: ApiServerOptions) {
    this.#options = options;
    const tokens = options.tokens ?? { "test-token": "genie" };
    this.tokens = new Map(Object.entries(tokens));
    const nextVersion = () => `${++this.#version}`;
    this.pods = new Store(nextVersion);
    this.definitions = new Store(nextVersion);
    this.claims = new Store(nextVersion);
    this.logicalNetworks = new Store(nextVersion);
    this.physicalNetworks = new Store(nextVersion);
    this.events = new Store(nextVersion);
    this.nodes = new Store(nextVersion);
  }

  async answer(
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { method = "", url: path = "" } = request;
    const user = this.#userOf(request);
    const logged: LoggedRequest = { method, path, status: undefined, user };
    this.requests.push(logged);
    const body = await textOf(request);
    const send = (
      status: number,
      text: string,
      headers: Record<string, string> = {},
    ): void => {
      logged.status = status;
      const length = `${Buffer.byteLength(text)}`;
      response.writeHead(status, {
        "content-type": "application/json",
        "content-length": length,
        ...headers,
      });
      response.end(text);
    };
    const fault = this.#fault(logged);
    if (fault && (await misbehave(fault, response, send))) return;
    const collection = collectionOf(path, this.#options.prefix ?? "");
    const answer =
      collection && user !== undefined && method === "GET"
        ? this.#collection({ ...collection, user }, response)
        : this.#perform(request, body, user);
    if (!answer) {
      logged.status = 200;
      return;
    }
    const text = JSON.stringify(answer.body);
    if (fault?.kind !== "chunks") return send(answer.status, text);
    logged.status = answer.status;
    response.writeHead(answer.status, { "content-type": "application/json" });
    await writeChunks(response, Buffer.from(text), fault.bytes);
  }

  bookmark(): void {
    const metadata = { resourceVersion: `${this.#version}` };
    for (const { send } of this.watches) send("BOOKMARK", { metadata });
  }

  compact(): void {
    this.#oldest = ++this.#version;
    for (const { send, end } of this.watches) {
      send("ERROR", statusObject(410, "too old resource version"));
      end();
    }
  }

  /** A list in pages, or an answer once a watch was refused; undefined: it is open. */
  #collection(
    { resource, query, user }: Collection & { user: string },
    response: ServerResponse,
  ): Answer | undefined {
    const isWatch = query.get("watch") === "true";
    const verb = isWatch ? "watch" : "list";
    const attempt = { user, verb, resource, namespace: "", name: "" };
    if (!(this.#options.allow?.(attempt) ?? true)) return forbidden(attempt);
    const store = resource === "pods" ? this.pods : this.definitions;
    const [, node] =
      /^spec\.nodeName=(.*)$/.exec(query.get("fieldSelector") ?? "") ?? [];
    const isWanted = (object: StoredObject): boolean =>
      node === undefined ||
      (isObject(object["spec"]) && object["spec"]["nodeName"] === node);
    const now = `${this.#version}`;
    if (isWatch)
      return this.#watch(
        store,
        isWanted,
        query.get("resourceVersion"),
        response,
      );
    const from = Number(query.get("continue") ?? 0);
    const to = from + Number(query.get("limit") ?? Infinity);
    const all = store.list().filter(isWanted);
    const metadata = {
      resourceVersion: now,
      ...(to < all.length && { continue: `${to}` }),
    };
    return { status: 200, body: { metadata, items: all.slice(from, to) } };
  }

  #watch(
    store: Store,
    isWanted: (object: StoredObject) => boolean,
    resourceVersion: string | null,
    response: ServerResponse,
  ): Answer | undefined {
    const from = Number(resourceVersion);
    if (from < this.#oldest) return failure(410, "too old resource version");
    const watch: OpenWatch = {
      response,
      send: (type, object) =>
        void response.write(`${JSON.stringify({ type, object })}\n`),
      end() {
        forget();
        response.end();
      },
    };
    const listener = ({ type, object }: Change): void => {
      if (Number(object.metadata.resourceVersion) > from && isWanted(object))
        watch.send(type, object);
    };
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    store.changes.forEach(listener);
    store.listeners.add(listener);
    this.watches.add(watch);
    const forget = () => {
      store.listeners.delete(listener);
      this.watches.delete(watch);
    };
    response.once("close", forget);
    return undefined;
  }

  #userOf({ headers, socket }: IncomingMessage): string | undefined {
    const [scheme, credential = ""] = headers.authorization?.split(" ") ?? [];
    if (scheme === "Bearer") return this.tokens.get(credential);
    if (scheme === "Basic") {
      return this.#options.passwords?.[
        Buffer.from(credential, "base64").toString()
      ];
    }
    if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
    const name = socket.getPeerCertificate().subject.CN;
    return Array.isArray(name) ? name[0] : name;
  }

  #fault(request: LoggedRequest): Fault | undefined {
    const index = this.faults.findIndex(({ match = () => true }) =>
      match(request),
    );
    const fault = this.faults[index];
    if (fault === undefined) return undefined;
    fault.times = (fault.times ?? 1) - 1;
    if (fault.times <= 0) this.faults.splice(index, 1);
    return fault;
  }

  #perform(
    { method = "", url = "", headers }: IncomingMessage,
    body: string,
    user: string | undefined,
  ): Answer {
    if (user === undefined) return failure(401, "Unauthorized");
    const prefix = this.#options.prefix ?? "";
    const target = url.startsWith(prefix)
      ? targetOf(url.slice(prefix.length))
      : undefined;
    const verb = verbs[method];
    if (!target || !verb) {
      return failure(404, "the server could not find the requested resource");
    }
    const { version, query, ...named } = target;
    const served = this.#options.resourceVersions ?? ["v1"];
    if (version && !served.includes(version))
      return failure(404, "the server could not find the requested resource");
    const attempt: Attempt = { user, verb, ...named };
    if (target.resource === "resourceslices") attempt.verb = "list";
    if (!(this.#options.allow?.(attempt) ?? true)) return forbidden(attempt);
    if (attempt.verb === "list")
      return { status: 200, body: this.#list(query) };
    const store = this.#storeOf(target.resource);
    if (verb === "create") {
      const created = JSON.parse(body) as StoredObject;
      return { status: 201, body: store.put(created) };
    }
    const object = store.get(target.namespace, target.name);
    if (!object) {
      const { resource: kind, name } = target;
      return failure(404, `${kind} "${name}" not found`, { name, kind });
    }
    if (verb === "get") return { status: 200, body: object };
    const isPod = store === this.pods;
    return patched(store, object, body, headers["content-type"] ?? "", isPod);
  }

  #storeOf(resource: string): Store {
    switch (resource) {
      case "network-attachment-definitions":
        return this.definitions;
      case "resourceclaims":
        return this.claims;
      case "logicalnetworks":
        return this.logicalNetworks;
      case "physicalnetworks":
        return this.physicalNetworks;
      case "events":
        return this.events;
      case "nodes":
        return this.nodes;
      default:
        return this.pods;
    }
  }

  #list(query: string): object {
    const selector = new URLSearchParams(query).get("fieldSelector") ?? "";
    const wanted = selector.split(",").map((term) => term.split("="));
    const items = this.slices.filter(({ spec }) =>
      wanted.every(([field = "", value]) => spec[field.slice(5)] === value),
    );
    return { kind: "ResourceSliceList", items };
  }
}

interface Collection {
  resource: "pods" | "network-attachment-definitions";
  query: URLSearchParams;
}

const collections: Record<string, Collection["resource"]> = {
  "/api/v1/pods": "pods",
  "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions":
    "network-attachment-definitions",
};

function collectionOf(path: string, prefix: string): Collection | undefined {
  const { pathname, searchParams } = new URL(path, "https://server");
  const resource = pathname.startsWith(prefix)
    ? collections[pathname.slice(prefix.length)]
    : undefined;
  return resource && { resource, query: searchParams };
}

const verbs: Record<string, string> = {
  GET: "get",
  PATCH: "patch",
  POST: "create",
};

const paths = [
  /^\/api\/v1\/namespaces\/(?<namespace>[^/]+)\/(?<resource>pods)\/(?<name>[^/]+)(?<subresource>\/status)?$/,
  /^\/api\/v1\/namespaces\/(?<namespace>[^/]+)\/(?<resource>events)(?:\/(?<name>[^/]+))?$/,
  /^\/api\/v1\/(?<resource>nodes)\/(?<name>[^/]+)$/,
  /^\/apis\/k8s\.cni\.cncf\.io\/v1\/namespaces\/(?<namespace>[^/]+)\/(?<resource>network-attachment-definitions)\/(?<name>[^/]+)$/,
  /^\/apis\/resource\.k8s\.io\/(?<version>[^/]+)\/(?<resource>resourceslices)\?(?<query>.*)$/,
  /^\/apis\/resource\.k8s\.io\/(?<version>[^/]+)\/namespaces\/(?<namespace>[^/]+)\/(?<resource>resourceclaims)\/(?<name>[^/]+)$/,
  /^\/apis\/alpha\.network\.k8s\.io\/v1\/namespaces\/(?<namespace>[^/]+)\/(?<resource>(?:logical|physical)networks)\/(?<name>[^/]+)$/,
];

function targetOf(path: string):
  | (Pick<Attempt, "resource" | "namespace" | "name"> & {
      version: string;
      query: string;
    })
  | undefined {
  for (const pattern of paths) {
    const groups = pattern.exec(path)?.groups;
    if (!groups) continue;
    const {
      namespace = "",
      resource = "",
      name = "",
      subresource = "",
      version = "",
      query = "",
    } = groups;
    return {
      version,
      query,
      resource: resource + subresource,
      namespace: decodeURIComponent(namespace),
      name: decodeURIComponent(name),
    };
  }
  return undefined;
}

/** Patches metadata and status of a pod, as the subresource allows; a uid in the patch is a precondition. */
function patched(
  store: Store,
  object: StoredObject,
  body: string,
  contentType: string,
  isPod: boolean,
): Answer {
  if (!/^application\/(?:strategic-)?merge-patch\+json/.test(contentType)) {
    return failure(415, `the body of the request was in an unknown format`);
  }
  let patch: unknown;
  try {
    patch = JSON.parse(body);
  } catch {
    return failure(400, "the body of the request is not JSON");
  }
  if (!isObject(patch)) return failure(400, "the patch is no object");
  const { metadata = {}, status = {} } = patch;
  const { uid, name, resourceVersion } = object.metadata;
  const version = isObject(metadata) && metadata["resourceVersion"];
  if (version !== undefined && version !== false && version !== resourceVersion)
    return failure(
      409,
      `Operation cannot be fulfilled on pods "${name}": the object has been modified`,
    );
  if (
    isObject(metadata) &&
    metadata["uid"] !== undefined &&
    metadata["uid"] !== uid
  ) {
    return failure(
      409,
      `Context cannot be fulfilled on pods "${name}": Precondition failed: UID in precondition: ${JSON.stringify(metadata["uid"])}, UID in object meta: ${uid}`,
    );
  }
  const part = isPod ? { metadata, status } : patch;
  const merged = mergePatch(object, part) as StoredObject;
  return { status: 200, body: store.put(merged) };
}

/** RFC 7386. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

type Send = (
  status: number,
  text: string,
  headers?: Record<string, string>,
) => void;

/** Whether the request has been dealt with. */
async function misbehave(
  fault: Fault,
  response: ServerResponse,
  send: Send,
): Promise<boolean> {
  switch (fault.kind) {
    case "answer":
      send(fault.status ?? 200, fault.body ?? "", fault.headers);
      break;
    case "delay":
      await Bun.sleep(fault.ms);
      return false;
    case "chunks":
      return false;
    case "stall":
      fault.reached?.();
      break;
    case "half":
      response.writeHead(200, { "content-length": "100" });
      response.write("{", () => fault.reached?.());
      break;
    case "close":
      response.socket?.destroy();
      break;
    case "truncate":
      response.writeHead(200, { "content-length": "100" });
      response.write("{", () => response.socket?.destroy());
      break;
    case "huge":
      response.writeHead(
        200,
        fault.stated ? { "content-length": `${fault.bytes}` } : {},
      );
      response.end("a".repeat(fault.bytes));
      break;
  }
  return true;
}

async function writeChunks(
  response: ServerResponse,
  body: Uint8Array,
  size: number,
): Promise<void> {
  for (let at = 0; at < body.length; at += size) {
    const { promise, resolve } = Promise.withResolvers<void>();
    // The next one after this one is out: they must not become one chunk.
    response.write(body.subarray(at, at + size), () => resolve());
    await promise;
  }
  response.end();
}

function forbidden({ user, verb, resource, namespace, name }: Attempt): Answer {
  return failure(
    403,
    `${resource} "${name}" is forbidden: User "${user}" cannot ${verb} resource "${resource}" in the namespace "${namespace}"`,
  );
}

function failure(status: number, message: string, details?: object): Answer {
  return { status, body: statusObject(status, message, details) };
}

function statusObject(code: number, message: string, details?: object): object {
  return {
    kind: "Status",
    apiVersion: "v1",
    status: "Failure",
    message,
    details,
    code,
  };
}

function kubeconfigOf(cluster: object, user: object): object {
  return {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
    clusters: [{ name: "test", cluster }],
    users: [{ name: "test", user }],
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

async function listen(server: Server, host: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(0, host, resolve);
  await promise;
  const address = server.address();
  if (address === null || typeof address === "string") {
    throw new Error("failed to listen on a port");
  }
  return address.port;
}
