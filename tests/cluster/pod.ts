/**
 * Pods for the checks: made, waited for, looked into, removed, with kubectl.
 */
import { expectEqual, expectMatch } from "./expect.ts";
import type { Kubectl } from "./kubectl.ts";
import { nodeName } from "./kubelet.ts";
import { until } from "./until.ts";

const labels = { suite: "cluster" };

/** The requests of a pod. */
export type Annotations = Readonly<Record<string, string>>;

export const networks = "k8s.v1.cni.cncf.io/networks";
export const networkStatus = "k8s.v1.cni.cncf.io/network-status";
export const multiIp = "multi-ip-preferences";

export function podObject(
  name: string,
  annotations: Annotations = {},
  namespace = "default",
): object {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, annotations, labels },
    spec: podSpec,
  };
}

/** Quick to start and to end. */
export const podSpec = {
  automountServiceAccountToken: false,
  enableServiceLinks: false,
  terminationGracePeriodSeconds: 2,
  containers: [{ name: "main", image: "cluster.test/busybox:1" }],
};

/** The part of a pod that the checks read. */
export interface Pod {
  metadata: { uid: string; annotations?: Record<string, string> };
  status: { phase: string; podIP?: string; podIPs?: { ip: string }[] };
}

/** Makes pods, and waits until all of them run. */
export async function createPods(
  kubectl: Kubectl,
  pods: Readonly<Record<string, Annotations>>,
): Promise<void> {
  await kubectl.apply(
    Object.entries(pods).map(([name, annotations]) =>
      podObject(name, annotations),
    ),
  );
  await waitReady(kubectl, ...Object.keys(pods));
}

/** Throws Error with the pods' events. */
export async function waitReady(
  kubectl: Kubectl,
  ...names: readonly string[]
): Promise<void> {
  const pods = names.map((name) => `pod/${name}`);
  const { exitCode, stderr } = await kubectl.attempt(
    "wait",
    "--for=condition=Ready",
    ...pods,
    "--timeout=60s",
  );
  if (exitCode === 0) return;
  throw new Error(`${stderr.trim()}\n${await events(kubectl, ...names)}`);
}

/** The kubelet's events about pods. */
export async function events(
  kubectl: Kubectl,
  ...names: readonly string[]
): Promise<string> {
  const texts = names.map((name) =>
    kubectl.run(
      "get",
      "events",
      `--field-selector=involvedObject.name=${name}`,
      "-o",
      "custom-columns=REASON:.reason,MESSAGE:.message",
    ),
  );
  return (await Promise.all(texts)).join("");
}

/** Waits until an event of a pod says so; the events. */
export function eventOf(
  kubectl: Kubectl,
  pod: string,
  pattern: RegExp,
): Promise<string> {
  return until(`an event of ${pod}`, 30, async () => {
    const text = await events(kubectl, pod);
    expectMatch("events", text, pattern);
    return text;
  });
}

/** Waits until the status of a pod's networks is written; its text. */
export function statusOf(kubectl: Kubectl, pod: string): Promise<string> {
  return until(`${networkStatus} of ${pod}`, 40, async () => {
    const { metadata } = await kubectl.get<Pod>("pod", pod);
    return metadata.annotations?.[networkStatus];
  });
}

/** Waits until the status of a pod's networks has these interfaces. */
export async function untilTold(
  kubectl: Kubectl,
  pod: string,
  ...ifnames: string[]
): Promise<void> {
  await until(`the interfaces of ${pod}`, 40, async () => {
    const status = await statusOf(kubectl, pod);
    const told = (JSON.parse(status) as { interface: string }[]).map(
      (one) => one.interface,
    );
    expectEqual("interfaces", told, ifnames);
    return true;
  });
}

/** IPv4 addresses by interface name, as the pod itself sees them. */
export async function addresses(
  kubectl: Kubectl,
  name: string,
): Promise<Record<string, string>> {
  const shown = await kubectl.run(
    "exec",
    name,
    "--",
    "ip",
    "-o",
    "-4",
    "address",
  );
  return Object.fromEntries(
    [...shown.matchAll(/^\d+: (\S+)\s+inet ([\d.]+)\//gm)].flatMap(
      ([, ifname = "", address = ""]) =>
        ifname === "lo" ? [] : [[ifname, address]],
    ),
  );
}

/** Waits for an answer: a new link may lose the first packet. */
export function ping(
  kubectl: Kubectl,
  from: string,
  to: string,
): Promise<string> {
  const command = ["ping", "-c", "1", "-W", "3", to];
  return until(`an answer from ${to} to ${from}`, 10, async () => {
    const said = await kubectl.run("exec", from, "--", ...command);
    return said.split("\n")[1] ?? "";
  });
}

export async function deletePods(
  kubectl: Kubectl,
  ...names: readonly string[]
): Promise<void> {
  await kubectl.run("delete", "pod", ...names, "--wait=true", "--timeout=60s");
}

/** As a person would see them. */
export function table(kubectl: Kubectl): Promise<string> {
  return kubectl.run("get", "pods", "-o", "wide");
}

/** The service account that every pod of the namespace needs. */
export async function waitForAccount(kubectl: Kubectl): Promise<void> {
  await until("the default service account", 30, async () => {
    const { exitCode } = await kubectl.attempt(
      "get",
      "serviceaccount",
      "default",
    );
    return exitCode === 0;
  });
  await kubectl.run(
    "wait",
    "--for=condition=Ready",
    `node/${nodeName}`,
    "--timeout=60s",
  );
}
