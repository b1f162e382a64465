/**
 * The pods of a command: from a file as for `kubectl apply -f`, or from an object
 * of the API server; and the notations of a pod at the command line: `p1`,
 * `default/p1`, `pod/p1` with `-n`, as in kubectl. Pure.
 */
import type { V1Pod } from "@kubernetes/client-node";
import { messageOf } from "../../linux/errno.ts";
import { isObject, own, parseJson } from "../../cni/json.ts";
import { parse } from "../../cni/schema.ts";
import {
  type Annotations,
  cniAnnotation,
  defaultNetworkAnnotation,
  networksAnnotation,
} from "../../select/attachment.ts";
import { bandwidthOf, podSchema, portMappingsOf } from "./pod-requests.ts";
import { UsageError } from "../command/command.ts";

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
  /** As containerd sends them (container-runtimes.md §1): Go's names. */
  portMappings: object[];
  bandwidth: object | undefined;
  hostNetwork: boolean;
  /** `networks.genie/canal=ready` of its node selector. */
  networkSelectors: readonly string[];
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
  if (found.length === 0) throw new Error(notThere(wanted, sources));
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
      const name = textOf(own(own(object, "metadata"), "name"));
      return [name, metadata?.annotations ?? {}];
    }),
  );
}

/** The pod of an object of the API server. */
export function podOfApi(pod: V1Pod): PodView {
  return viewOf(sourceOf("Pod", pod, pod));
}

/** The parts of an object that make a pod. */
interface Source {
  kind: string;
  object: object;
  /** The pod itself or the template. */
  pod: object;
  name: string;
}

function sourceOf(kind: string, object: object, pod: object): Source {
  const metadata = own(object, "metadata");
  const name =
    textOf(own(metadata, "name")) || textOf(own(metadata, "generateName"));
  return { kind, object, pod, name };
}

function notThere(
  { kind, name = "" }: Partial<PodOperand>,
  sources: readonly Source[],
): string {
  const what = [kind?.toLowerCase() ?? "object", JSON.stringify(name)].join(
    " ",
  );
  return `no ${what} is in it: have ${sources.map(nameOf).join(", ")}`;
}

/** `pod "web"`. */
function nameOf({ kind, name }: Source): string {
  return `${kind.toLowerCase()} ${JSON.stringify(name)}`;
}

/** Every object of a YAML or JSON text. Throws Error with the position of a fault. */
export function objectsOf(text: string): object[] {
  let value: unknown;
  try {
    value = Bun.YAML.parse(text);
  } catch (cause) {
    throw new Error(`neither YAML nor JSON: ${faultIn(text, cause)}`, {
      cause,
    });
  }
  // Several documents are a list; a List has its objects in `items`.
  return [value].flat().flatMap((document: unknown): object[] => {
    const items = own(document, "items");
    const objects = items === undefined ? [document] : listOf(items);
    return objects.filter((object) => isObject(object));
  });
}

/**
 * Bun's YAML errors have no position: JSON is parsed again for it; of several
 * documents the first invalid one is named.
 */
function faultIn(text: string, fault: unknown): string {
  if (/^\s*[[{]/.test(text)) {
    try {
      parseJson(text);
    } catch (error) {
      return messageOf(error);
    }
  }
  const documents = text.split(/^---/m);
  const first = documents[0]?.trim() === "" ? 0 : 1;
  let line = 1;
  for (const [i, document] of documents.entries()) {
    try {
      Bun.YAML.parse(document);
    } catch (error) {
      return `document ${i + first}, from line ${line}: ${messageOf(error)}`;
    }
    line += document.split("\n").length - 1;
  }
  return messageOf(fault);
}

/** undefined for an object without pods. */
function findSource(object: object): Source | undefined {
  const kind = textOf(own(object, "kind")) || "Pod";
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
  const fail = (problem: string) => new Error(`${nameOf(source)}: ${problem}`);
  const { metadata, spec } = parse(podSchema, source.pod, fail);
  const annotations = metadata?.annotations ?? {};
  const text = (key: string) => textOf(own(own(object, "metadata"), key));
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

export const networkAnnotations = [
  cniAnnotation,
  networksAnnotation,
  defaultNetworkAnnotation,
];

/** A common mistake: the annotation is on the workload and not in its template. */
function misplacedIn(workload: object, inTemplate: Annotations): string[] {
  const value = own(own(workload, "metadata"), "annotations");
  return networkAnnotations.filter(
    (key) =>
      own(value, key) !== undefined && own(inTemplate, key) === undefined,
  );
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

export interface PodOperand {
  /** As in objects: `Deployment`. Absent: any. */
  kind?: string;
  namespace?: string;
  name: string;
}

/** With kubectl's short names. */
const kinds: Readonly<Record<string, string>> = {
  Pod: "po",
  Deployment: "deploy",
  StatefulSet: "sts",
  DaemonSet: "ds",
  ReplicaSet: "rs",
  ReplicationController: "rc",
  Job: "job",
  CronJob: "cj",
  PodTemplate: "podtemplate",
};

/** Throws UsageError for a text that is not a pod. `namespace` is the value of `-n`. */
export function parsePodOperand(
  text: string,
  namespace: string | undefined,
): PodOperand {
  const parts = text.split("/");
  const name = parts.pop() ?? "";
  const [first, ...more] = parts;
  if (more.length > 0 || parts.includes("") || name === "")
    throw new UsageError(
      `expected POD, NAMESPACE/POD or pod/POD, got ${JSON.stringify(text)}`,
    );
  const given = { ...(namespace !== undefined && { namespace }), name };
  if (first === undefined) return given;
  const kind = kindOf(first);
  if (kind !== undefined) return { ...given, kind };
  if (namespace !== undefined && namespace !== first)
    throw new UsageError(
      `${JSON.stringify(text)} is in namespace ${JSON.stringify(first)}, -n says ${JSON.stringify(namespace)}`,
    );
  return { namespace: first, name };
}

/** Of its singular, plural or short name. */
function kindOf(word: string): string | undefined {
  // kubectl accepts `deployments.apps` too.
  const [resource = ""] = word.toLowerCase().split(".");
  return Object.keys(kinds).find((kind) => {
    const singular = kind.toLowerCase();
    return [singular, `${singular}s`, kinds[kind]].includes(resource);
  });
}
