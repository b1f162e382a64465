/**
 * The API server as genie uses it: a pod, a network attachment definition, a
 * pod's status. It owns the paths and the time budgets; how a call is tried and tried
 * again is `request`'s matter, what an answer must look like `answer`'s.
 */
import { type Clock, Deadline } from "../linux/deadline.ts";
import { Code, CniError } from "../cni/error.ts";
import { quote } from "../linux/text.ts";
import { type Surroundings, openAccess } from "./access.ts";
import {
  type NetworkAttachmentDefinition,
  type Pod,
  parseDefinition,
  parsePod,
} from "./objects.ts";
import { ApiError } from "./api-error.ts";
import { type Send, createSend } from "./http.ts";
import type { KubeOptions } from "./options.ts";
import { type Call, type Wire, call } from "./request.ts";
import { createSession } from "./session.ts";

export type {
  KubeObject,
  NetworkAttachmentDefinition,
  Pod,
} from "./objects.ts";
// Whoever imports this module lazily needs these as well: every module that is
// imported lazily by itself is one more chunk to load, 0.1 ms.
export { ApiError } from "./api-error.ts";
export { fetchPod, isStaticPod } from "./pod.ts";
export type { Try } from "./request.ts";

export interface Kube {
  /**
   * Throws 7 for a configuration that leads to no server, else an `ApiError`
   * (11) naming verb and object; its `status` tells 404 from the rest.
   */
  getPod(namespace: string, name: string): Promise<Pod>;
  /** Throws as `getPod`. */
  getDefinition(
    namespace: string,
    name: string,
  ): Promise<NetworkAttachmentDefinition>;
  /**
   * A merge patch of the pod's `status` subresource. "gone": the pod does not
   * exist any more, or the `metadata.uid` of the patch is not its own (404, 409,
   * 422 about that field). Throws as `getPod`.
   */
  patchPodStatus(
    namespace: string,
    name: string,
    patch: object,
  ): Promise<"patched" | "gone">;
}

/** The seams, and what limits the calls in time; every one has a default. */
export interface KubeDependencies extends Wire, Surroundings {
  /** Milliseconds for one GET with all its tries (`apiTimeout`). */
  apiTimeout: number;
  /** The end of the phase that we are in. */
  deadline: Deadline;
  clock: Clock;
}

/** Milliseconds for the patch with all its tries (selection.md §7). */
const patchBudget = 3000;

/** Nothing is read or connected before the first call. */
export function createKube(
  options: KubeOptions,
  dependencies: Partial<KubeDependencies> = {},
): Kube {
  const world: World = { ...defaults, send: sender(), ...dependencies };
  const { apiTimeout, deadline, clock } = world;
  const session = createSession(() => openAccess(options, world));
  const perform = (request: Call, limit: number): Promise<string> =>
    call(
      request,
      session,
      deadline?.atMost(limit) ?? new Deadline(limit, clock),
      world,
    );

  return {
    async getPod(namespace, name) {
      const request = {
        ...pod(namespace, name, "get"),
        method: "GET",
      } as const;
      const answer = await perform(request, apiTimeout);
      return parsePod(answer, request.action);
    },
    async getDefinition(namespace, name) {
      const request = definition(namespace, name);
      const answer = await perform(request, apiTimeout);
      return parseDefinition(answer, request.action);
    },
    async patchPodStatus(namespace, name, patch) {
      const { path, ...rest } = pod(namespace, name, "patch status of");
      const body = {
        contentType: "application/merge-patch+json",
        text: JSON.stringify(patch),
      };
      try {
        await perform(
          { ...rest, method: "PATCH", path: `${path}/status`, body },
          patchBudget,
        );
        return "patched";
      } catch (error) {
        if (error instanceof ApiError && isGone(error)) return "gone";
        throw error;
      }
    },
  };
}

/** Through the proxy of a kubeconfig that has one, else over a connection of our own. */
function sender(): Send {
  const direct = createSend();
  return async (request, access, credential, signal) => {
    if (access.proxy === false)
      return direct(request, access, credential, signal);
    const { sendByProxy } = await import("./http-proxy.ts");
    return sendByProxy(request, access, credential, signal);
  };
}

/**
 * Throws 7 for a configuration or a kubeconfig that leads to no server. The
 * API server is not asked, nor a credential plugin (STATUS).
 */
export async function checkAccess(
  options: KubeOptions,
  surroundings: Partial<Surroundings> = {},
): Promise<void> {
  await openAccess(options, { ...defaults, ...surroundings });
}

type World = Omit<KubeDependencies, "deadline"> & { deadline?: Deadline };

const defaults: Omit<World, "send"> = {
  apiTimeout: 10_000,
  clock: () => performance.now(),
  sleep: Bun.sleep,
  random: () => Math.random(),
  timeout: (ms) => AbortSignal.timeout(ms),
  now: () => new Date(),
  env: Bun.env,
  serviceAccount: "/var/run/secrets/kubernetes.io/serviceaccount",
};

/** No pod of that name, another of that name, or a uid that may not change (selection.md §7). */
function isGone({ status, fields }: ApiError): boolean {
  if (status === 422) return fields.includes("metadata.uid");
  return status === 404 || status === 409;
}

function pod(
  namespace: string,
  name: string,
  verb: string,
): Pick<Call, "action" | "path" | "subject"> {
  const action = () => `${verb} pod ${quote(`${namespace}/${name}`)}`;
  const path = `/api/v1/namespaces/${segment(namespace, action)}/pods/${segment(name, action)}`;
  const unknownKind = "the server knows no pods: is it an API server?";
  return { action, path, subject: { name, unknownKind } };
}

function definition(namespace: string, name: string): Call {
  const action = () =>
    `get network attachment definition ${quote(`${namespace}/${name}`)}`;
  const resources = `/apis/k8s.cni.cncf.io/v1/namespaces/${segment(namespace, action)}/network-attachment-definitions`;
  const path = `${resources}/${segment(name, action)}`;
  const unknownKind =
    "the kind NetworkAttachmentDefinition is not installed: the cluster has no CustomResourceDefinition network-attachment-definitions.k8s.cni.cncf.io";
  return { action, method: "GET", path, subject: { name, unknownKind } };
}

/** One part of a path. Throws 4: no encoding keeps "." and ".." from changing the path, nor "" from ending it. */
function segment(name: string, action: () => string): string {
  if (name === "" || name === "." || name === "..") {
    throw new CniError(
      Code.invalidEnvironment,
      `failed to ${action()}: expected a name, got ${quote(name)}`,
    );
  }
  // Half of a surrogate pair cannot be encoded.
  return encodeURIComponent(name.toWellFormed());
}
