/** The pods of a command, from a file or from the API server. Pure. */
import type { V1Pod } from "@kubernetes/client-node";
import { isObject, own, ownText } from "../../cni/json.ts";
import { parse } from "../../cni/schema.ts";
import { quote } from "../../linux/text.ts";
import {
  type Annotations,
  networkAnnotations,
} from "../../select/attachment.ts";
import { objectsOf } from "./objects-file.ts";
import type { PodOperand } from "./pod-operand.ts";
import { type PodSpec, podSchema } from "./pod-schema.ts";

/** The parts of a pod that decide its networks. */
export interface PodView {
  /** `Pod`, or the kind of the workload that has the template. */
  kind: string;
  namespace: string;
  name: string;
  uid: string;
  annotations: Annotations;
  /** Network annotations of the workload itself, which no pod gets. */
  misplaced: readonly string[];
  /** The argument of containerd, with Go's names (container-runtimes.md §1). */
  portMappings: object[];
  bandwidth: object | undefined;
  hostNetwork: boolean;
  /** `networks.genie/canal=ready` of its node selector. */
  networkSelectors: readonly string[];
}

/** The name of a pod in an explanation; `kind` is that of the workload that has its template. */
export interface ShownPod {
  kind?: string;
  namespace: string;
  name: string;
}

export function shownPod({ kind, namespace, name }: PodView): ShownPod {
  return { ...(kind !== "Pod" && { kind }), namespace, name };
}

/**
 * Every pod and workload of a YAML or JSON text with one or several objects; only
 * those that match `wanted`. Throws Error if there is none.
 */
export function podsOfText(
  text: string,
  wanted: Partial<PodOperand>,
): PodView[] {
  const sources = objectsOf(text).flatMap((object) => findSource(object) ?? []);
  if (sources.length === 0)
    throw new Error("neither a pod nor a workload is in it");
  const found = sources.filter(
    ({ kind, name }) =>
      (wanted.name === undefined || wanted.name === name) &&
      (wanted.kind === undefined || wanted.kind === kind),
  );
  if (found.length === 0)
    throw new Error(
      `no ${labelOf(wanted)} is in it: have ${sources.map(labelOf).join(", ")}`,
    );
  return found.map((source) => viewOf(source, wanted.namespace));
}

/** The annotations of the namespaces of such a text, by name. */
export function namespacesOfText(text: string): Map<string, Annotations> {
  const namespaces = objectsOf(text).filter(
    (object) => own(object, "kind") === "Namespace",
  );
  return new Map(
    namespaces.map((object) => {
      const { metadata } = parse(
        podSchema,
        object,
        (problem) => new Error(`namespace: ${problem}`),
      );
      const name = ownText(own(object, "metadata"), "name") ?? "";
      return [name, metadata?.annotations ?? {}];
    }),
  );
}

/** The pod of an object of the API server, whose client makes a Date of each time. */
export function podOfApi(pod: V1Pod): PodView {
  const json: unknown = JSON.parse(JSON.stringify(pod));
  return viewOf(sourceOf("Pod", json, json));
}

/** The parts of an object that make a pod. */
interface Source {
  kind: string;
  object: unknown;
  /** The pod itself or the template. */
  pod: unknown;
  name: string;
}

function sourceOf(kind: string, object: unknown, pod: unknown): Source {
  const metadata = own(object, "metadata");
  const name =
    ownText(metadata, "name") || ownText(metadata, "generateName") || "";
  return { kind, object, pod, name };
}

/** `pod "web"`. */
function labelOf({ kind = "object", name = "" }: Partial<PodOperand>): string {
  return `${kind.toLowerCase()} ${quote(name)}`;
}

/** undefined for an object without pods. */
function findSource(object: object): Source | undefined {
  const kind = ownText(object, "kind") || "Pod";
  const pod = kind === "Pod" ? object : templateOf(object);
  return isObject(pod) ? sourceOf(kind, object, pod) : undefined;
}

/**
 * The position of the template: in `spec`, of a CronJob one level deeper, of a
 * PodTemplate at the top.
 */
function templateOf(object: object): unknown {
  const spec = own(object, "spec");
  const job = own(own(spec, "jobTemplate"), "spec");
  const template =
    own(job, "template") ?? own(spec, "template") ?? own(object, "template");
  return own(own(template, "spec"), "containers") === undefined &&
    own(template, "metadata") === undefined
    ? undefined
    : template;
}

function viewOf(source: Source, namespace?: string): PodView {
  const { kind, object, name } = source;
  const fail = (problem: string) => new Error(`${labelOf(source)}: ${problem}`);
  const { metadata, spec } = parse(podSchema, source.pod, fail);
  const annotations = metadata?.annotations ?? {};
  const text = (key: string) => ownText(own(object, "metadata"), key) ?? "";
  return {
    kind,
    namespace: namespace ?? (text("namespace") || "default"),
    name,
    uid: kind === "Pod" ? text("uid") : "",
    annotations,
    misplaced: source.pod === object ? [] : misplacedIn(object, annotations),
    portMappings: portMappingsOf(spec),
    bandwidth: bandwidthOf(annotations),
    hostNetwork: spec?.hostNetwork === true,
    networkSelectors: Object.entries(spec?.nodeSelector ?? {}).flatMap(
      ([key, value]) =>
        key.startsWith("networks.genie/") ? [`${key}=${value}`] : [],
    ),
  };
}

/** A common mistake: the annotation is on the workload and not in its template. */
function misplacedIn(workload: unknown, inTemplate: Annotations): string[] {
  const value = own(own(workload, "metadata"), "annotations");
  return networkAnnotations.filter(
    (key) =>
      own(value, key) !== undefined && own(inTemplate, key) === undefined,
  );
}

/** The host ports of every container, in the spelling of containerd (container-runtimes.md §1). */
function portMappingsOf(spec: PodSpec): object[] {
  return (spec?.containers ?? [])
    .flatMap(({ ports }) => ports ?? [])
    .flatMap(({ hostPort, containerPort, protocol, hostIP }) =>
      typeof hostPort === "number" && hostPort > 0
        ? {
            HostPort: hostPort,
            ContainerPort: containerPort,
            Protocol: protocol?.toLowerCase() ?? "tcp",
            HostIP: hostIP ?? "",
          }
        : [],
    );
}

/** The rates of the annotations; containerd's burst is 2^32 − 1 if a rate is set. */
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

/** A Kubernetes quantity; 0 for none and for an invalid one. */
function quantity(text: unknown): number {
  if (typeof text !== "string") return 0;
  const [, digits = "", suffix = ""] =
    /^(\d+(?:\.\d+)?)([A-Za-z]*)$/.exec(text.trim()) ?? [];
  return Math.ceil(Number(digits) * (suffixes[suffix] ?? 0));
}
