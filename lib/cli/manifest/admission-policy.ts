/**
 * RBAC can only allow the whole status of a pod, or a whole node. These policies restrict
 * genie's account to the fields that genie writes (selection.md §7, agent.md): a stolen token
 * cannot mark pods as ready, change other annotations, or change objects of another node.
 */
import {
  preferencesAnnotation,
  statusAnnotation,
} from "../../select/attachment.ts";
import {
  boundPolicy,
  requests,
  validationsOf,
  valueOr,
  variablesOf,
} from "./policy.ts";
import { objectName } from "./rbac.ts";

/** The annotations that genie writes. */
const keys = [preferencesAnnotation, statusAnnotation];
const names = keys.join(" and ");

const unchanged = (field: string, empty: string): string =>
  `(${valueOr(`object.${field}`, empty)}) == (${valueOr(`oldObject.${field}`, empty)})`;

/** Tokens of pods have the name of their node, since Kubernetes 1.30. */
const nodes = `has(request.userInfo.extra) && "authentication.kubernetes.io/node-name" in request.userInfo.extra ? request.userInfo.extra["authentication.kubernetes.io/node-name"] : []`;

const isOwnNode = (node: string): string =>
  `size(variables.nodes) == 0 || ${node} in variables.nodes`;

const finalizers = {
  "genie may not change finalizers": unchanged("metadata.finalizers", "[]"),
};

/** The API server must be 1.30 or later. */
export function admissionPolicy(namespace: string): object[] {
  return policy(
    namespace,
    objectName,
    ["pods", "pods/*"],
    {
      keys: JSON.stringify(keys),
      before: valueOr("oldObject.metadata.annotations", "{}"),
      after: valueOr("object.metadata.annotations", "{}"),
      nodes,
    },
    {
      "genie may change pods of its own node only": isOwnNode(
        `(${valueOr("object.spec.nodeName", '""')})`,
      ),
      [`genie may change no annotation but ${names}`]:
        "variables.after.all(key, key in variables.keys || (key in variables.before && variables.before[key] == variables.after[key]))",
      [`genie may remove no annotation but ${names}`]:
        "variables.before.all(key, key in variables.keys || key in variables.after)",
      "genie may not change labels": unchanged("metadata.labels", "{}"),
      ...finalizers,
      "genie may not change a pod's spec": "object.spec == oldObject.spec",
      "genie may not change a pod's status":
        "has(object.status) == has(oldObject.status) && (!has(object.status) || object.status == oldObject.status)",
    },
  );
}

const taint = "genie/not-ready";
const labelPrefix = "networks.genie/";

/** For `--taint` and `--labels`: the account may change only these, and only on its own node. */
export function nodePolicy(
  namespace: string,
  { hasTaint, hasLabels }: { hasTaint: boolean; hasLabels: boolean },
): object[] {
  const others = (object: string): string =>
    `(${valueOr(`${object}.spec.taints`, "[]")})${hasTaint ? `.filter(taint, taint.key != "${taint}")` : ""}`;
  const isOurs = hasLabels ? `key.startsWith("${labelPrefix}") || ` : "";
  const same = (key: string): string =>
    `has(object.spec.${key}) == has(oldObject.spec.${key}) && (!has(object.spec.${key}) || object.spec.${key} == oldObject.spec.${key})`;
  return policy(
    namespace,
    `${objectName}-node`,
    ["nodes", "nodes/*"],
    {
      before: valueOr("oldObject.metadata.labels", "{}"),
      after: valueOr("object.metadata.labels", "{}"),
      nodes,
    },
    {
      "genie may change its own node only": isOwnNode("object.metadata.name"),
      [hasTaint
        ? `genie may change no taint but ${taint}`
        : "genie may not change taints"]:
        `${others("object")} == ${others("oldObject")}`,
      [hasLabels
        ? `genie may change no label but ${labelPrefix}*`
        : "genie may not change labels"]:
        `variables.after.all(key, ${isOurs}(key in variables.before && variables.before[key] == variables.after[key])) && variables.before.all(key, ${isOurs}key in variables.after)`,
      "genie may not change annotations": unchanged(
        "metadata.annotations",
        "{}",
      ),
      ...finalizers,
      // The API server collects a node whose owner does not exist.
      "genie may not change owners": unchanged(
        "metadata.ownerReferences",
        "[]",
      ),
      "genie may not change a node's spec": `${same("unschedulable")} && ${same("podCIDRs")} && ${same("providerID")}`,
      "genie may not change a node's status":
        "object.status == oldObject.status",
    },
  );
}

/** Judges updates by genie's account. */
function policy(
  namespace: string,
  name: string,
  resources: readonly string[],
  variables: Readonly<Record<string, string>>,
  validations: Readonly<Record<string, string>>,
): object[] {
  const spec = {
    failurePolicy: "Fail",
    // A PATCH is an UPDATE here.
    matchConstraints: requests("", ["UPDATE"], resources),
    matchConditions: [
      {
        name: "is-genie",
        expression: `request.userInfo.username == "system:serviceaccount:${namespace}:${objectName}"`,
      },
    ],
    variables: variablesOf(variables),
    validations: validationsOf(validations),
  };
  const kind = "ValidatingAdmissionPolicy";
  return boundPolicy(kind, name, spec, { validationActions: ["Deny"] });
}
