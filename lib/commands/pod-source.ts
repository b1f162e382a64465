/**
 * The pod that a command is about: from a file as `kubectl apply -f` takes it, or
 * from the API server. What a runtime derives from it is here too.
 */
import type { V1Pod } from "@kubernetes/client-node";
import { isObject, own } from "../cni/json.ts";
import type { Annotations } from "../select/select.ts";

/** A pod as far as it decides about networks. */
export interface PodView {
  namespace: string;
  name: string;
  uid: string;
  annotations: Annotations;
  /** As containerd hands them over (container-runtimes.md §1): Go's names. */
  portMappings: object[];
  bandwidth: object | undefined;
  hostNetwork: boolean;
}

/** Throws Error when the pod cannot be made out. `text` is YAML or JSON, of one or several objects. */
export function podOfText(
  text: string,
  name: string,
  namespace: string | undefined,
): PodView {
  const objects = objectsOf(text);
  const named = objects.filter(
    (object) => own(own(object, "metadata"), "name") === name,
  );
  const [found] = named.length > 0 ? named : objects;
  if (found === undefined || (named.length === 0 && objects.length > 1))
    throw new Error(`the file has no object named ${JSON.stringify(name)}`);
  const given = own(own(found, "metadata"), "name");
  if (given !== undefined && given !== name)
    throw new Error(
      `the file's object is named ${JSON.stringify(given)}, not ${JSON.stringify(name)}`,
    );
  return viewOf(found, name, namespace);
}

/** Of the API server's object. */
export function podOfApi(pod: V1Pod, name: string, namespace: string): PodView {
  return viewOf(pod, name, namespace);
}

function objectsOf(text: string): unknown[] {
  let value: unknown;
  try {
    value = Bun.YAML.parse(text);
  } catch (cause) {
    throw new Error("the file is neither YAML nor JSON", { cause });
  }
  const objects = [value].flat().flatMap((object: unknown): unknown[] => {
    const items = own(object, "items");
    return items === undefined ? [object] : listOf(items);
  });
  return objects.filter((object) => isObject(object));
}

/** A workload's pods are made of its template; a CronJob's one level deeper. */
function viewOf(
  object: unknown,
  name: string,
  namespace: string | undefined,
): PodView {
  const spec = own(object, "spec");
  const job = own(own(spec, "jobTemplate"), "spec");
  const pod = own(job, "template") ?? own(spec, "template") ?? object;
  const metadata = own(object, "metadata");
  const annotations = stringsOf(own(own(pod, "metadata"), "annotations"));
  const stated = own(metadata, "namespace");
  const uid = own(metadata, "uid");
  const podSpec = own(pod, "spec");
  return {
    namespace: namespace ?? (typeof stated === "string" ? stated : "default"),
    name,
    uid: pod === object && typeof uid === "string" ? uid : "",
    annotations,
    portMappings: portMappingsOf(podSpec),
    bandwidth: bandwidthOf(annotations),
    hostNetwork: own(podSpec, "hostNetwork") === true,
  };
}

function stringsOf(value: unknown): Record<string, string> {
  const entries = Object.entries(isObject(value) ? value : {});
  return Object.fromEntries(
    entries.map(([key, text]) => {
      if (typeof text !== "string")
        throw new Error(`annotation ${JSON.stringify(key)} is no string`);
      return [key, text] as const;
    }),
  );
}

/** Of every container with a host port, as the kubelet tells the runtime. */
function portMappingsOf(spec: unknown): object[] {
  return listOf(own(spec, "containers"))
    .flatMap((container) => listOf(own(container, "ports")))
    .flatMap((port) => {
      const hostPort = own(port, "hostPort");
      if (typeof hostPort !== "number" || hostPort <= 0) return [];
      const protocol = own(port, "protocol");
      const hostIp = own(port, "hostIP");
      return {
        HostPort: hostPort,
        ContainerPort: own(port, "containerPort"),
        Protocol: typeof protocol === "string" ? protocol.toLowerCase() : "tcp",
        HostIP: typeof hostIp === "string" ? hostIp : "",
      };
    });
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** containerd's bursts: 2^32 − 1 where a rate is set. */
function bandwidthOf(annotations: Annotations): object | undefined {
  const rate = (key: string): number =>
    quantity(own(annotations, `kubernetes.io/${key}-bandwidth`));
  const ingress = rate("ingress");
  const egress = rate("egress");
  if (ingress === 0 && egress === 0) return undefined;
  const burst = (of: number) => (of === 0 ? 0 : 2 ** 32 - 1);
  return {
    IngressRate: ingress,
    IngressBurst: burst(ingress),
    EgressRate: egress,
    EgressBurst: burst(egress),
  };
}

const suffixes: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

/** A Kubernetes quantity; 0 for none and for what is no quantity. */
function quantity(text: unknown): number {
  if (typeof text !== "string") return 0;
  const [, digits = "", suffix = ""] =
    /^(\d+(?:\.\d+)?)([A-Za-z]*)$/.exec(text.trim()) ?? [];
  return Math.ceil(Number(digits) * (suffixes[suffix] ?? 0));
}
