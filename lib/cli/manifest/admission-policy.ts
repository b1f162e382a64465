/**
 * RBAC can only allow the whole status of a pod. This policy allows genie's account the
 * annotations that genie writes, and nothing else (selection.md §7): a stolen token
 * cannot mark pods as ready or change annotations of others.
 */
import { name } from "./rbac.ts";

/** The annotations that genie writes. */
const keys = ["multi-ip-preferences", "k8s.v1.cni.cncf.io/network-status"];

/** CEL: a map or list of the metadata, empty if absent. */
const metadataOf = (object: string, key: string, empty: string): string =>
  `has(${object}.metadata.${key}) ? ${object}.metadata.${key} : ${empty}`;

const unchanged = (key: string, empty: string): string =>
  `(${metadataOf("object", key, empty)}) == (${metadataOf("oldObject", key, empty)})`;

/** The policy and its binding; the API server must be 1.30 or later. */
export function admissionPolicy(namespace: string): object[] {
  return [
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingAdmissionPolicy",
      metadata: { name },
      spec: {
        failurePolicy: "Fail",
        matchConstraints: {
          resourceRules: [
            {
              apiGroups: [""],
              apiVersions: ["v1"],
              // A PATCH is an UPDATE here.
              operations: ["UPDATE"],
              resources: ["pods", "pods/*"],
            },
          ],
        },
        matchConditions: [
          {
            name: "is-genie",
            expression: `request.userInfo.username == "system:serviceaccount:${namespace}:${name}"`,
          },
        ],
        variables: [
          { name: "keys", expression: JSON.stringify(keys) },
          {
            name: "before",
            expression: metadataOf("oldObject", "annotations", "{}"),
          },
          {
            name: "after",
            expression: metadataOf("object", "annotations", "{}"),
          },
        ],
        validations: [
          {
            expression:
              "variables.after.all(key, key in variables.keys || (key in variables.before && variables.before[key] == variables.after[key]))",
            message: `genie may change no annotation but ${keys.join(" and ")}`,
          },
          {
            expression:
              "variables.before.all(key, key in variables.keys || key in variables.after)",
            message: `genie may remove no annotation but ${keys.join(" and ")}`,
          },
          {
            expression: unchanged("labels", "{}"),
            message: "genie may not change labels",
          },
          {
            expression: unchanged("finalizers", "[]"),
            message: "genie may not change finalizers",
          },
          {
            expression: "object.spec == oldObject.spec",
            message: "genie may not change a pod's spec",
          },
          {
            expression:
              "has(object.status) == has(oldObject.status) && (!has(object.status) || object.status == oldObject.status)",
            message: "genie may not change a pod's status",
          },
        ],
      },
    },
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingAdmissionPolicyBinding",
      metadata: { name },
      spec: { policyName: name, validationActions: ["Deny"] },
    },
  ];
}
