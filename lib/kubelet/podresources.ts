/**
 * The devices that the kubelet allotted to a pod, from its PodResources API: gRPC
 * over a unix socket. Loading it costs about 20 ms, only for a pod with a device.
 * Each failure is an error 11: the kubelet tries the pod again and may then have
 * the devices (selection.md §6).
 */
import { connect } from "node:net";
import {
  type Client,
  Code as Status,
  ConnectError,
  createClient,
} from "@connectrpc/connect";
import {
  createGrpcTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { CniError, Code } from "../cni/error.ts";
import type { Deadline } from "../linux/deadline.ts";
import { errnoOf, messageOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import {
  type PodResources,
  PodResourcesLister,
} from "./podresources-schema.ts";

type Kubelet = Client<typeof PodResourcesLister>;

interface PodName {
  namespace: string;
  name: string;
}

interface Patience {
  /** Milliseconds for all calls together. */
  deadline: Deadline;
  sleep?: (ms: number) => Promise<void>;
  /** 0 ≤ x < 1 */
  random?: () => number;
}

/** Limit of a response, as in Kubernetes' own clients. */
const maxBytes = 16 << 20;

/** The containers of a pod with their devices, in the kubelet's order. Throws CniError 11. */
export function podContainers(
  pod: PodName,
  { socket, ...patience }: Patience & { socket: string },
): Promise<PodResources["containers"]> {
  const name = quote(`${pod.namespace}/${pod.name}`);
  return ask(`devices of pod ${name}`, socket, async (kubelet) => {
    const { containers } = await find(kubelet, pod, patience);
    return containers;
  });
}

/** The resources of the node's device plugins. Throws CniError 11. */
export function pluginResources(
  socket: string,
  deadline: Deadline,
): Promise<ReadonlySet<string>> {
  return ask("device plugins", socket, async (kubelet) => {
    const limit = within(deadline);
    const { devices } = await kubelet.getAllocatableResources({}, limit);
    return new Set(devices.map(({ resourceName }) => resourceName));
  });
}

async function ask<T>(
  what: string,
  socket: string,
  question: (kubelet: Kubelet) => Promise<T>,
): Promise<T> {
  // Only the path names the server; Go's gRPC sends this authority for a unix
  // socket.
  const baseUrl = "http://localhost";
  const sessionManager = new Http2SessionManager(baseUrl, undefined, {
    createConnection: () => connect(socket),
  });
  const kubelet = createClient(
    PodResourcesLister,
    createGrpcTransport({
      baseUrl,
      sessionManager,
      readMaxBytes: maxBytes,
      // The kubelet does not compress; a compressed response could exceed its
      // limit.
      acceptCompression: [],
      binaryOptions: { readUnknownFields: false },
    }),
  );
  try {
    return await question(kubelet);
  } catch (error) {
    throw new CniError(
      Code.tryAgainLater,
      `failed to get ${what} from kubelet at ${quote(socket)}: ${reasonOf(error)}`,
      { cause: error },
    );
  } finally {
    sessionManager.abort();
  }
}

/**
 * Before Kubernetes 1.34 `Get` is disabled by default and fails with Unknown, as
 * for an unknown pod; before 1.27 it does not exist.
 */
const withoutGet = new Set([Status.Unimplemented, Status.Unknown]);

async function find(
  kubelet: Kubelet,
  { namespace, name }: PodName,
  patience: Patience,
): Promise<PodResources> {
  const { deadline } = patience;
  let found: PodResources | undefined;
  try {
    const request = { podNamespace: namespace, podName: name };
    found = await patiently(
      async () => (await kubelet.get(request, within(deadline))).podResources,
      patience,
    );
  } catch (error) {
    const isMissing =
      error instanceof ConnectError && withoutGet.has(error.code);
    if (!isMissing) throw error;
    const { podResources } = await patiently(
      () => kubelet.list({}, within(deadline)),
      patience,
    );
    const pods = podResources.filter(
      (pod) => pod.namespace === namespace && pod.name === name,
    );
    // A pod that is being removed and its successor: the owner of each device is
    // unknown.
    if (pods.length > 1)
      throw new Error("it still has another pod of this name", {
        cause: error,
      });
    [found] = pods;
  }
  if (!found) throw new Error("it does not know the pod");
  return found;
}

/** The library reads 0 as "no limit", and sends whole milliseconds. */
function within(deadline: Deadline): { timeoutMs: number } {
  if (deadline.expired)
    throw new ConnectError("no time is left", Status.DeadlineExceeded);
  return { timeoutMs: Math.ceil(deadline.remaining) };
}

/** Milliseconds: the first pause, doubled with each try, and the longest. */
const firstPause = 20;
const longestPause = 500;

/**
 * Repeats a call that exceeds the kubelet's limit (100 calls a second, ten at once,
 * for all clients of the node), or that finds the kubelet restarting, with jitter,
 * because the pods of a node start together.
 */
async function patiently<T>(
  call: () => Promise<T>,
  { deadline, sleep = Bun.sleep, random = Math.random }: Patience,
  longest = firstPause,
): Promise<T> {
  try {
    return await call();
  } catch (error) {
    const pause = longest * (0.5 + random() / 2);
    if (!isTransient(error) || pause >= deadline.remaining) throw error;
    await sleep(pause);
  }
  const next = Math.min(longestPause, longest * 2);
  return patiently(call, { deadline, sleep, random }, next);
}

function isTransient(error: unknown): boolean {
  if (!(error instanceof ConnectError)) return false;
  const { code, cause, rawMessage } = error;
  if (code === Status.ResourceExhausted) return !isTooLarge(error);
  return (
    interrupted.has(code) ||
    restarting.has(errnoOf(cause) ?? "") ||
    rawMessage.includes("incomplete envelope")
  );
}

/**
 * A kubelet that restarts makes its socket anew. Go's gRPC reports all of this as
 * Unavailable; ours reports a closed connection as Canceled or as half a message.
 */
const interrupted = new Set([
  Status.Unavailable,
  Status.Canceled,
  Status.Aborted,
]);
const restarting = new Set(["ENOENT", "ECONNREFUSED", "ECONNRESET", "EPIPE"]);

/** Whether our own `maxBytes` was exceeded, which has the same status as the kubelet's limit. */
function isTooLarge({ rawMessage }: ConnectError): boolean {
  return rawMessage.includes("readMaxBytes");
}

/** The meaning of the socket's errors; others keep the library's message. */
const errnoTexts: Readonly<Record<string, string>> = {
  ENOENT: "no such socket",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection closed",
  EACCES: "permission denied",
};

function reasonOf(error: unknown): string {
  if (!(error instanceof ConnectError)) return messageOf(error);
  if (error.code === Status.DeadlineExceeded) return "no response in time";
  if (isTooLarge(error))
    return `the response is larger than ${maxBytes >> 20} MiB`;
  const known = errnoTexts[errnoOf(error.cause) ?? ""];
  return known ?? `${Status[error.code]}: ${quote(error.rawMessage)}`;
}
