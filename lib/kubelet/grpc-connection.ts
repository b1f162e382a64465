/**
 * One gRPC connection to the kubelet over its unix socket: HTTP/2 in clear text,
 * two calls, a limit on time and size of each. Loading it costs about 20 ms, so
 * whoever imports lib/kubelet does so by import(), when a pod has a device.
 */
import { connect } from "node:net";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import {
  createGrpcTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import type { Deadline } from "../linux/deadline.ts";
import { type PodResources, PodResourcesLister } from "./schema.ts";

/** Whose devices are asked for. */
export interface PodName {
  namespace: string;
  name: string;
}

/** Both calls throw ConnectError. */
export interface KubeletConnection extends Disposable {
  get(pod: PodName, deadline: Deadline): Promise<PodResources | undefined>;
  /** Every pod of the node. */
  list(deadline: Deadline): Promise<readonly PodResources[]>;
}

/** What an answer may have: the limit that Kubernetes' own clients set. */
export const answerLimit = 16 << 20;

/** Opens the connection with the first call; a failed one is opened again by the next. */
export function connectKubelet(socket: string): KubeletConnection {
  // Only the path names the server; the authority is what Go's gRPC sends for a unix socket.
  const baseUrl = "http://localhost";
  const sessionManager = new Http2SessionManager(baseUrl, undefined, {
    createConnection: () => connect(socket),
  });
  const client = createClient(
    PodResourcesLister,
    createGrpcTransport({
      baseUrl,
      sessionManager,
      readMaxBytes: answerLimit,
      // The kubelet compresses nothing; a compressed answer could outgrow its limit.
      acceptCompression: [],
      binaryOptions: { readUnknownFields: false },
    }),
  );
  return {
    async get({ namespace, name }, deadline) {
      const request = { podNamespace: namespace, podName: name };
      return (await client.get(request, within(deadline))).podResources;
    },
    async list(deadline) {
      return (await client.list({}, within(deadline))).podResources;
    },
    [Symbol.dispose]: () => sessionManager.abort(),
  };
}

/** Whether the failure is our own `answerLimit`, which has the status of the kubelet's limit on calls. */
export function isTooLarge({ rawMessage }: ConnectError): boolean {
  return rawMessage.includes("readMaxBytes");
}

/** The library takes 0 for "no limit", and sends whole milliseconds. */
function within(deadline: Deadline): { timeoutMs: number } {
  if (deadline.expired)
    throw new ConnectError("no time is left", Code.DeadlineExceeded);
  return { timeoutMs: Math.ceil(deadline.remaining) };
}
