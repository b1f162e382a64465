/**
 * Which devices the kubelet allotted to a pod: asks its PodResources API, and
 * says in our words what went wrong. Every failure is an error 11, since the
 * kubelet tries the pod again and may then know more (selection.md §6).
 */
import { Code as Status, ConnectError } from "@connectrpc/connect";
import type { Deadline } from "../linux/deadline.ts";
import { CniError, Code } from "../cni/error.ts";
import { errnoOf, messageOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import {
  answerLimit,
  connectKubelet,
  isTooLarge,
  type KubeletConnection,
  type PodName,
} from "./grpc-connection.ts";
import type { PodResources } from "./schema.ts";

export { DeviceAllotment } from "./allotment.ts";

export interface PodDevicesOptions {
  /** Path of the kubelet's socket. */
  socket: string;
  /** For all calls together. */
  deadline: Deadline;
  sleep?: (ms: number) => Promise<void>;
  /** 0 ≤ x < 1 */
  random?: () => number;
}

/**
 * Resource name → the pod's devices of it, in the kubelet's order over all its
 * containers, none twice. Throws CniError 11.
 */
export async function podDevices(
  pod: PodName,
  { socket, ...options }: PodDevicesOptions,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const { deadline, sleep = Bun.sleep, random = Math.random } = options;
  using kubelet = connectKubelet(socket);
  try {
    return devicesOf(await ask(kubelet, pod, { deadline, sleep, random }));
  } catch (error) {
    const who = quote(`${pod.namespace}/${pod.name}`);
    throw new CniError(
      Code.tryAgainLater,
      `failed to get devices of pod ${who} from kubelet at ${quote(socket)}: ${reasonOf(error)}`,
      { cause: error },
    );
  }
}

type Patience = Required<Omit<PodDevicesOptions, "socket">>;

/**
 * Before Kubernetes 1.34 `Get` is disabled by default, which is an Unknown, as is
 * its answer for a pod that it does not know; before 1.27 it does not exist.
 */
async function ask(
  kubelet: KubeletConnection,
  pod: PodName,
  patience: Patience,
): Promise<PodResources> {
  const { deadline } = patience;
  try {
    return existing(
      await patiently(() => kubelet.get(pod, deadline), patience),
    );
  } catch (error) {
    if (!hasStatus(error, Status.Unimplemented, Status.Unknown)) throw error;
  }
  const all = await patiently(() => kubelet.list(deadline), patience);
  const [found, another] = all.filter(
    ({ namespace, name }) => namespace === pod.namespace && name === pod.name,
  );
  // One being removed and its successor: whose devices are whose is not said.
  if (another) throw new Error("it still has another pod of this name");
  return existing(found);
}

function existing(found: PodResources | undefined): PodResources {
  if (!found) throw new Error("it does not know the pod");
  return found;
}

/** Milliseconds: the first pause, doubled with each try, and the longest. */
const firstPause = 20;
const longestPause = 500;

/**
 * Calls again while the kubelet's limit (100 calls a second, ten at once, from
 * everybody on the node) rejects us; at random times, since a node's pods come at once.
 */
async function patiently<T>(
  call: () => Promise<T>,
  { deadline, sleep, random }: Patience,
): Promise<T> {
  for (
    let longest = firstPause;
    ;
    longest = Math.min(longestPause, longest * 2)
  ) {
    try {
      return await call();
    } catch (error) {
      const pause = longest * (0.5 + random() / 2);
      if (!isRateLimit(error) || pause >= deadline.remaining) throw error;
      await sleep(pause);
    }
  }
}

function isRateLimit(error: unknown): boolean {
  return hasStatus(error, Status.ResourceExhausted) && !isTooLarge(error);
}

function hasStatus(
  error: unknown,
  ...statuses: Status[]
): error is ConnectError {
  return error instanceof ConnectError && statuses.includes(error.code);
}

function devicesOf({
  containers,
}: PodResources): ReadonlyMap<string, readonly string[]> {
  const devices = new Map<string, Set<string>>();
  for (const { resourceName, deviceIds } of containers.flatMap(
    (one) => one.devices,
  )) {
    const ids = devices.get(resourceName) ?? [];
    devices.set(resourceName, new Set([...ids, ...deviceIds]));
  }
  return new Map([...devices].map(([resource, ids]) => [resource, [...ids]]));
}

/** What the errors of the socket mean; the others are told as the library words them. */
const errnoTexts: Readonly<Record<string, string>> = {
  ENOENT: "no such socket",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection closed",
  EACCES: "permission denied",
};

function reasonOf(error: unknown): string {
  if (!(error instanceof ConnectError)) return messageOf(error);
  if (error.code === Status.DeadlineExceeded) return "no answer in time";
  if (isTooLarge(error))
    return `the answer is larger than ${answerLimit >> 20} MiB`;
  const known = errnoTexts[errnoOf(error.cause) ?? ""];
  return known ?? `${Status[error.code]}: ${quote(error.rawMessage)}`;
}
