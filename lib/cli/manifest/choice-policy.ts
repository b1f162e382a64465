/**
 * Choice above the pod (choice.md): a MutatingAdmissionPolicy, stable since Kubernetes
 * 1.36, that gives pods the network annotations of their namespace, and a node selector
 * for the networks that they name. One policy for both: the API server orders nothing
 * between policies, and the mutations of one policy see each other.
 */
import { networkAnnotations } from "../../select/attachment.ts";
import { maxAttachments } from "../../select/cni-annotation.ts";
import { optionsOf } from "../command/options.ts";
import type { Feature } from "./feature.ts";
import { boundPolicy, requests, valueOr, variablesOf } from "./policy.ts";

export const choicePolicy: Feature = {
  options: optionsOf({
    "--namespace-networks":
      "pods without network annotations get those of their namespace (Kubernetes 1.36)",
    "--network-scheduling":
      "pods go to nodes that have the networks of their annotation cni (Kubernetes 1.36); needs --labels",
  }),
  contribute(input) {
    const mutations = [
      ...(input.flag("namespace-networks") ? [namespaceNetworks] : []),
      ...(input.flag("network-scheduling") ? [networkScheduling] : []),
    ];
    if (mutations.length === 0) return undefined;
    // `genie explain` reads namespaces.
    const rules = input.flag("namespace-networks")
      ? [{ apiGroups: [""], resources: ["namespaces"], verbs: ["get"] }]
      : [];
    return {
      ...(!input.flag("node-credentials") && { accountRules: rules }),
      ...(!input.flag("service-account") && { nodeRules: rules }),
      objects: policyOf(mutations),
    };
  },
};

function policyOf(mutations: readonly string[]): object[] {
  const spec = {
    // The cluster must always be able to create pods.
    failurePolicy: "Ignore",
    // A webhook may add the annotation after this policy; repeated, it changes nothing.
    reinvocationPolicy: "IfNeeded",
    matchConstraints: requests("", ["CREATE"], ["pods"]),
    matchConditions,
    variables: variablesOf(variables),
    mutations: mutations.map((expression) => ({
      patchType: "JSONPatch",
      jsonPatch: { expression },
    })),
  };
  return boundPolicy("MutatingAdmissionPolicy", "genie-networks", spec, {});
}

const matchConditions = [
  {
    name: "has-network-of-its-own",
    expression: "!(has(object.spec.hostNetwork) && object.spec.hostNetwork)",
  },
  {
    name: "is-no-mirror-pod",
    expression:
      "!(has(object.metadata.annotations) && 'kubernetes.io/config.mirror' in object.metadata.annotations)",
  },
];

/** The API server refuses an object whose annotations are larger in all. */
const maxAnnotationBytes = 256 << 10;

/** CEL, evaluated before each mutation. */
const variables = {
  annotations: valueOr("object.metadata.annotations", "{}"),
  ofNamespace: valueOr("namespaceObject.metadata.annotations", "{}"),
  given: `${JSON.stringify(networkAnnotations)}.exists(key, key in variables.annotations) ? [] : ${JSON.stringify(networkAnnotations)}.filter(key, key in variables.ofNamespace)`,
  /** The keys that the pod gets: none if it has one of them itself, or no room for their values. */
  inherited: `${bytesIn("variables.annotations", "variables.annotations")} + ${bytesIn("variables.given", "variables.ofNamespace")} > ${maxAnnotationBytes} ? [] : variables.given`,
  selector: valueOr("object.spec.nodeSelector", "{}"),
  requests:
    '"cni" in variables.annotations ? variables.annotations["cni"].split(",") : []',
  /**
   * The names in the annotation cni (selection.md §3) that are the names of labels. A
   * key of the pod's own selector stays as it is.
   */
  labels: `size(variables.requests) > ${maxAttachments} ? [] : variables.requests.map(request, request.split("@")[0].trim().lowerAscii()).filter(name, name != "default" && name.matches("^[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?$")).map(name, "networks.genie/" + name).filter(label, !(label in variables.selector))`,
};

/** The size of these entries of a map. */
function bytesIn(all: string, map: string): string {
  return `${all}.map(key, size(bytes(key)) + size(bytes(${map}[key]))).sum()`;
}

const namespaceNetworks = `(size(variables.inherited) == 0 || has(object.metadata.annotations) ? [] : [JSONPatch{op: "add", path: "/metadata/annotations", value: {}}]) + variables.inherited.map(key, JSONPatch{op: "add", path: "/metadata/annotations/" + jsonpatch.escapeKey(key), value: variables.ofNamespace[key]})`;

const networkScheduling = `(size(variables.labels) == 0 || has(object.spec.nodeSelector) ? [] : [JSONPatch{op: "add", path: "/spec/nodeSelector", value: {}}]) + variables.labels.map(label, JSONPatch{op: "add", path: "/spec/nodeSelector/" + jsonpatch.escapeKey(label), value: "ready"})`;
