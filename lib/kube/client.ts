/**
 * The API requests of genie: a pod, a NetworkAttachmentDefinition, a pod's status.
 * It owns paths and time budgets; `request` retries, `objects` validates responses.
 */
import { type Clock, Deadline } from "../linux/deadline.ts";
import { Code, CniError } from "../cni/error.ts";
import { quote } from "../linux/text.ts";
import {
  type KubeOptions,
  type Surroundings,
  openAccess,
  serviceAccountDirectory,
} from "./access/access.ts";
import {
  type NetworkAttachmentDefinition,
  type Pod,
  parseDefinition,
  parsePod,
} from "./objects.ts";
import { ApiError } from "./api-error.ts";
import { type Call, type Wire, call, createSession } from "./request.ts";
import { type Transport, createTransport } from "./transport.ts";

export type {
  KubeObject,
  NetworkAttachmentDefinition,
  Pod,
} from "./objects.ts";
// Modules that import this one lazily need these too; each separate lazy module is
// one more chunk to load, 0.1 ms.
export { ApiError } from "./api-error.ts";
export { fetchPod, isStaticPod } from "./objects.ts";
export type { Try } from "./request.ts";
export { tlsSessionFile } from "../http/tls-session.ts";

export interface Kube {
  /**
   * Throws 7 for a configuration without a usable server, else an `ApiError` (11)
   * naming verb and object; `status` is 404 for a missing object. A pod from the
   * server's cache is returned only if `isMeant` recognises it (`cachedReads`).
   */
  getPod(
    namespace: string,
    name: string,
    isMeant?: (pod: Pod) => boolean,
  ): Promise<Pod>;
  /** Throws as `getPod`. */
  getDefinition(
    namespace: string,
    name: string,
  ): Promise<NetworkAttachmentDefinition>;
  /** The text of another GET (resource-claims.ts). Throws as `getPod`. */
  get(request: Call): Promise<string>;
  /**
   * A merge patch of the pod's `status` subresource. "gone": the pod does not
   * exist, or the `metadata.uid` of the patch is of another pod (404, 409, 422
   * about that field). Throws as `getPod`.
   */
  patchPodStatus(
    namespace: string,
    name: string,
    patch: object,
  ): Promise<"patched" | "gone">;
  /** Connects for a request that follows soon. Never throws: that request tells what fails. */
  connect(): Promise<void>;
}

/** The dependencies and time limits. */
export interface KubeDependencies extends Wire, Transport, Surroundings {
  /** Milliseconds for one GET with retries (`apiTimeout`). */
  apiTimeout: number;
  /**
   * Whether pods and definitions come from the server's watch cache (`apiReads`): it
   * spares a read of etcd and is a few milliseconds behind.
   */
  cachedReads: boolean;
  /** The end of the present phase. */
  deadline?: Deadline;
  clock: Clock;
  /** Where TLS sessions are kept for the next process; absent: nowhere. */
  sessionFile?: string;
}

/** Milliseconds for the patch with retries (selection.md §7). */
const patchBudget = 3000;

/** Reads and connects at the first request. Every dependency has a default. */
export function createKube(
  options: KubeOptions,
  given: Partial<KubeDependencies> = {},
): Kube {
  const dependencies: KubeDependencies = {
    ...defaults,
    ...createTransport(given.sessionFile),
    ...given,
  };
  const { apiTimeout, cachedReads, deadline, clock } = dependencies;
  const session = createSession(() => openAccess(options, dependencies));
  const within = (limit: number): Deadline =>
    deadline?.atMost(limit) ?? new Deadline(limit, clock);
  const send = (request: Call, budget: Deadline): Promise<string> =>
    call(request, session, budget, dependencies);

  return {
    async getPod(namespace, name, isMeant) {
      const request = podRequest(namespace, name, "get");
      const budget = within(apiTimeout);
      if (cachedReads && isMeant) {
        const response = await readCached(request, budget, send);
        const pod = parsePod(response, request.action);
        if (isMeant(pod)) return pod;
      }
      return parsePod(await send(request, budget), request.action);
    },
    async getDefinition(namespace, name) {
      const request = definitionRequest(namespace, name);
      const budget = within(apiTimeout);
      const response = cachedReads
        ? await readCached(request, budget, send)
        : await send(request, budget);
      return parseDefinition(response, request.action);
    },
    get: (request) => send(request, within(apiTimeout)),
    async patchPodStatus(namespace, name, patch) {
      const request = statusRequest(namespace, name, patch);
      try {
        await send(request, within(patchBudget));
        return "patched";
      } catch (error) {
        if (error instanceof ApiError && isGone(error)) return "gone";
        throw error;
      }
    },
    async connect() {
      try {
        const access = await session.access();
        const credential = await access.credential(within(patchBudget));
        dependencies.connect(access, credential);
      } catch {
        // The request tells it.
      }
    },
  };
}

/** From the server's cache; from etcd what the cache lacks, for example a pod of this moment. */
async function readCached(
  request: Call,
  budget: Deadline,
  send: (request: Call, budget: Deadline) => Promise<string>,
): Promise<string> {
  try {
    const path = `${request.path}?resourceVersion=0`;
    return await send({ ...request, path }, budget);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404)
      return send(request, budget);
    throw error;
  }
}

/**
 * Throws 7 for a configuration or kubeconfig without a usable server. Sends no
 * request and executes no credential plugin (STATUS).
 */
export async function requireAccess(
  options: KubeOptions,
  surroundings: Partial<Surroundings> = {},
): Promise<void> {
  await openAccess(options, { ...defaults, ...surroundings });
}

const defaults: Omit<KubeDependencies, keyof Transport> = {
  apiTimeout: 10_000,
  cachedReads: false,
  clock: () => performance.now(),
  sleep: Bun.sleep,
  random: () => Math.random(),
  timeout: (ms) => AbortSignal.timeout(ms),
  now: () => new Date(),
  env: Bun.env,
  serviceAccount: serviceAccountDirectory,
};

/** No pod of that name, another pod of that name, or an immutable uid (selection.md §7). */
function isGone({ status, fields }: ApiError): boolean {
  if (status === 422) return fields.includes("metadata.uid");
  return status === 404 || status === 409;
}

export function podRequest(
  namespace: string,
  name: string,
  verb: string,
): Call {
  const pods = {
    verb: `${verb} pod`,
    api: "/api/v1",
    plural: "pods",
    unknownKind: "the server knows no pods: is it an API server?",
  };
  return objectRequest(pods, namespace, name);
}

function statusRequest(namespace: string, name: string, patch: object): Call {
  const pod = podRequest(namespace, name, "patch status of");
  const body = {
    contentType: "application/merge-patch+json",
    text: JSON.stringify(patch),
  };
  return { ...pod, method: "PATCH", path: `${pod.path}/status`, body };
}

export function definitionRequest(namespace: string, name: string): Call {
  const definitions = {
    verb: "get network attachment definition",
    api: "/apis/k8s.cni.cncf.io/v1",
    plural: "network-attachment-definitions",
    unknownKind:
      "the kind NetworkAttachmentDefinition is not installed: the cluster has no CustomResourceDefinition network-attachment-definitions.k8s.cni.cncf.io",
  };
  return objectRequest(definitions, namespace, name);
}

interface Resource {
  /** For messages: `get pod`. */
  verb: string;
  /** The path of group and version. */
  api: string;
  plural: string;
  /** For messages, if the server does not know it. */
  unknownKind: string;
}

/** A GET of one object. Throws 4 for a namespace or name that no path can have. */
export function objectRequest(
  { verb, api, plural, unknownKind }: Resource,
  namespace: string,
  name: string,
): Call {
  const action = () => `${verb} ${quote(`${namespace}/${name}`)}`;
  const path = `${api}/namespaces/${segment(namespace, action)}/${plural}/${segment(name, action)}`;
  return { action, method: "GET", path, subject: { name, unknownKind } };
}

/** One segment of a path. Throws 4 for ".", ".." and "", which no encoding makes safe. */
function segment(name: string, action: () => string): string {
  if (name === "" || name === "." || name === "..") {
    throw new CniError(
      Code.invalidEnvironment,
      `failed to ${action()}: expected a name, got ${quote(name)}`,
    );
  }
  // A lone surrogate cannot be encoded.
  return encodeURIComponent(name.toWellFormed());
}
