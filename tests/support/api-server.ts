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
import {
  type Fault,
  misbehave,
  statusObject,
  writeChunks,
} from "./api-faults.ts";
import {
  type Change,
  Store,
  type StoredObject,
  patched,
} from "./api-objects.ts";
import { selectorOf, targetOf, verbOf } from "./api-paths.ts";
import { type Certs, type KeyPair, makeCerts } from "./certs.ts";
import { kubeconfigJson } from "./kubeconfig.ts";

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

export interface LoggedRequest {
  method: string;
  path: string;
  /** undefined: not answered, or the connection was closed. */
  status: number | undefined;
  /** undefined: an unknown user. */
  user: string | undefined;
}

/** A request in the words of RBAC. */
export interface Attempt {
  user: string;
  verb: string;
  resource: string;
  namespace: string;
  name: string;
}

interface Response {
  status: number;
  body: object;
}

/** An open WATCH. */
interface OpenWatch {
  response: ServerResponse;
  send(type: string, object: object): void;
  end(): void;
}

/** Listens on a free port. `await using` stops it. */
export async function startApiServer(
  options: ApiServerOptions = {},
): Promise<ApiServer> {
  const server = new ApiServer(options);
  await server.listen();
  return server;
}

export class ApiServer implements AsyncDisposable {
  readonly certs: Certs;
  /** Changes take effect at once. */
  readonly tokens: Map<string, string>;
  #version = 1;
  readonly #nextVersion = () => `${++this.#version}`;
  readonly pods = new Store(this.#nextVersion);
  readonly definitions = new Store(this.#nextVersion);
  readonly claims = new Store(this.#nextVersion);
  /** Each as stored: the selectors spec.nodeName and spec.driver apply. */
  readonly slices: object[] = [];
  /** CNI-Genie's, of the group `alpha.network.k8s.io`. */
  readonly logicalNetworks = new Store(this.#nextVersion);
  readonly physicalNetworks = new Store(this.#nextVersion);
  readonly events = new Store(this.#nextVersion);
  /** Without a namespace: put them with `""`. */
  readonly nodes = new Store(this.#nextVersion);
  /** In the order of arrival; the log of a request is complete once it was answered. */
  readonly requests: LoggedRequest[] = [];
  port = 0;
  readonly #options: ApiServerOptions;
  readonly #host: string;
  readonly #faults: Fault[] = [];
  readonly #watches = new Set<OpenWatch>();
  /** The oldest version from which a watch can begin. */
  #oldest = 0;
  readonly #tls: Server;
  readonly #sockets = new Set<TLSSocket>();
  readonly #directory = mkdtempSync(join(tmpdir(), "genie-api-server-"));
  #kubeconfigs = 0;
  /** Path without namespace and name → objects. */
  readonly #stores: Readonly<Record<string, Store>>;

  constructor(options: ApiServerOptions) {
    this.#options = options;
    this.#host = options.host ?? "127.0.0.1";
    this.certs = options.certs ?? makeCerts();
    this.tokens = new Map(
      Object.entries(options.tokens ?? { "test-token": "genie" }),
    );
    this.#stores = {
      "/api/v1/pods": this.pods,
      "/api/v1/events": this.events,
      "/api/v1/nodes": this.nodes,
      "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions":
        this.definitions,
      "/apis/alpha.network.k8s.io/v1/logicalnetworks": this.logicalNetworks,
      "/apis/alpha.network.k8s.io/v1/physicalnetworks": this.physicalNetworks,
      ...Object.fromEntries(
        (options.resourceVersions ?? ["v1"]).map((version) => [
          `/apis/resource.k8s.io/${version}/resourceclaims`,
          this.claims,
        ]),
      ),
    };
    const http = createHttpServer((request, response) => {
      void this.#respond(request, response);
    });
    const { key, cert } = options.identity ?? this.certs.server;
    const ca = this.certs.ca.cert;
    this.#tls = createTlsServer(
      { key, cert, ca, requestCert: true, rejectUnauthorized: false },
      (socket) => {
        this.#sockets.add(socket);
        socket.on("error", () => socket.destroy());
        socket.once("close", () => this.#sockets.delete(socket));
        http.emit("connection", socket);
      },
    );
  }

  /** Without a slash at its end. */
  get url(): string {
    const host = this.#host.includes(":") ? `[${this.#host}]` : this.#host;
    return `https://${host}:${this.port}${this.#options.prefix ?? ""}`;
  }

  /** From now on, until it is used up. Faults are looked up in the order in which they were injected. */
  inject(fault: Fault): void {
    this.#faults.push({ ...fault });
  }

  /** The watches that are open now. */
  get watches(): number {
    return this.#watches.size;
  }

  /** Sends every watch how far it has come, as the real server does each minute. */
  bookmark(): void {
    const metadata = { resourceVersion: `${this.#version}` };
    for (const { send } of this.#watches) send("BOOKMARK", { metadata });
  }

  /** Forgets all changes: a watch from before, or one that is sent this, gets 410. */
  compact(): void {
    this.#oldest = ++this.#version;
    for (const { send, end } of this.#watches) {
      send("ERROR", statusObject(410, "too old resource version"));
      end();
    }
  }

  /** Ends every watch: orderly, or by a closed connection. */
  endWatches(how: "end" | "destroy"): void {
    for (const { response, end } of this.#watches)
      if (how === "end") end();
      else response.socket?.destroy();
  }

  /** Writes a kubeconfig for this server; the path. Keys given here replace the default ones, undefined removes. */
  kubeconfig({
    user,
    cluster,
  }: { user?: object; cluster?: object } = {}): string {
    const [token] = this.tokens.keys();
    const ca = Buffer.from(this.certs.ca.cert).toString("base64");
    const text = kubeconfigJson(
      { server: this.url, "certificate-authority-data": ca, ...cluster },
      user ?? { token },
    );
    const path = join(this.#directory, `kubeconfig-${++this.#kubeconfigs}`);
    writeFileSync(path, text);
    return path;
  }

  async listen(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#tls.once("error", reject);
    this.#tls.listen(0, this.#host, resolve);
    await promise;
    const address = this.#tls.address();
    if (address === null || typeof address === "string")
      throw new Error("failed to listen on a port");
    this.port = address.port;
  }

  async stop(): Promise<void> {
    rmSync(this.#directory, { recursive: true, force: true });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tls.close(() => resolve());
    for (const socket of this.#sockets) socket.destroy();
    await promise;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #respond(
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
    const fault = this.#nextFault(logged);
    if (fault && (await misbehave(fault, response, send))) return;
    const answer =
      user === undefined
        ? failure(401, "Unauthorized")
        : this.#perform(request, body, user, response);
    logged.status = answer?.status ?? 200;
    if (!answer) return;
    const text = JSON.stringify(answer.body);
    if (fault?.kind !== "chunks") return send(answer.status, text);
    response.writeHead(answer.status, { "content-type": "application/json" });
    await writeChunks(response, Buffer.from(text), fault.bytes);
  }

  #userOf({ headers, socket }: IncomingMessage): string | undefined {
    const [scheme, credential = ""] = headers.authorization?.split(" ") ?? [];
    if (scheme === "Bearer") return this.tokens.get(credential);
    if (scheme === "Basic")
      return this.#options.passwords?.[
        Buffer.from(credential, "base64").toString()
      ];
    if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
    const name = socket.getPeerCertificate().subject.CN;
    return Array.isArray(name) ? name[0] : name;
  }

  #nextFault(request: LoggedRequest): Fault | undefined {
    const index = this.#faults.findIndex(({ match = () => true }) =>
      match(request),
    );
    const fault = this.#faults[index];
    if (fault === undefined) return undefined;
    fault.times = (fault.times ?? 1) - 1;
    if (fault.times <= 0) this.#faults.splice(index, 1);
    return fault;
  }

  /** undefined: a watch, which is open. */
  #perform(
    { method = "", url = "", headers }: IncomingMessage,
    body: string,
    user: string,
    response: ServerResponse,
  ): Response | undefined {
    const target = targetOf(url, this.#options.prefix ?? "");
    const objects = target && this.#objectsAt(target.collection);
    if (!target || !objects) return unknown;
    const { resource, namespace, name, query } = target;
    const verb = verbOf(method, name, query);
    if (verb === undefined) return unknown;
    const attempt = { user, verb, resource, namespace, name };
    if (!(this.#options.allow?.(attempt) ?? true)) return forbidden(attempt);
    if (verb === "list") return this.#list(objects, query);
    if (!(objects instanceof Store)) return unknown;
    if (verb === "watch") return this.#watch(objects, query, response);
    if (verb === "create")
      return {
        status: 201,
        body: objects.put(JSON.parse(body) as StoredObject),
      };
    const object = objects.get(namespace, name);
    if (!object)
      return failure(404, `${resource} "${name}" not found`, {
        name,
        kind: resource,
      });
    if (verb === "get") return { status: 200, body: object };
    const change = patched(object, body, headers["content-type"] ?? "");
    return "object" in change
      ? { status: 200, body: objects.put(change.object) }
      : failure(change.status, change.message);
  }

  /** Of a path without namespace and name. */
  #objectsAt(path: string): Store | readonly object[] | undefined {
    const [, version] =
      /^\/apis\/resource\.k8s\.io\/(\w+)\/resourceslices$/.exec(path) ?? [];
    const served = this.#options.resourceVersions ?? ["v1"];
    return version !== undefined && served.includes(version)
      ? this.slices
      : this.#stores[path];
  }

  /** A page of the objects that the query selects. */
  #list(objects: Store | readonly object[], query: URLSearchParams): Response {
    const all = objects instanceof Store ? objects.list() : objects;
    const selected = all.filter(selectorOf(query));
    const from = Number(query.get("continue") ?? 0);
    const to = from + Number(query.get("limit") ?? Infinity);
    const metadata = {
      resourceVersion: `${this.#version}`,
      ...(to < selected.length && { continue: `${to}` }),
    };
    return { status: 200, body: { metadata, items: selected.slice(from, to) } };
  }

  #watch(
    store: Store,
    query: URLSearchParams,
    response: ServerResponse,
  ): Response | undefined {
    const isSelected = selectorOf(query);
    const from = Number(query.get("resourceVersion"));
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
      if (Number(object.metadata.resourceVersion) > from && isSelected(object))
        watch.send(type, object);
    };
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    store.changes.forEach(listener);
    store.listeners.add(listener);
    this.#watches.add(watch);
    const forget = () => {
      store.listeners.delete(listener);
      this.#watches.delete(watch);
    };
    response.once("close", forget);
    return undefined;
  }
}

const unknown = failure(
  404,
  "the server could not find the requested resource",
);

function forbidden({
  user,
  verb,
  resource,
  namespace,
  name,
}: Attempt): Response {
  return failure(
    403,
    `${resource} "${name}" is forbidden: User "${user}" cannot ${verb} resource "${resource}" in the namespace "${namespace}"`,
  );
}

function failure(status: number, message: string, details?: object): Response {
  return { status, body: statusObject(status, message, details) };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
