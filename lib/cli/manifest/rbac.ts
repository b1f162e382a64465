/**
 * The roles of the service account and of nodes, with the rights for exactly the requests of
 * `lib/kube/client.ts` and of the features that are on.
 */
import type { RbacV1Subject, V1PolicyRule } from "@kubernetes/client-node";
import { definitionGroup, definitionResource } from "./definition.ts";

/** The name of all of genie's objects. */
export const objectName = "genie";

const rbac = "rbac.authorization.k8s.io";

const definitionRule: V1PolicyRule = {
  apiGroups: [definitionGroup],
  resources: [definitionResource],
  verbs: ["get"],
};

export function accountRole(
  namespace: string,
  more: readonly V1PolicyRule[],
): object[] {
  const account = { kind: "ServiceAccount", name: objectName, namespace };
  return [
    {
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name: objectName, namespace },
    },
    ...role(objectName, account, [
      { apiGroups: [""], resources: ["pods"], verbs: ["get"] },
      { apiGroups: [""], resources: ["pods/status"], verbs: ["patch"] },
      definitionRule,
      ...more,
    ]),
  ];
}

/** The node authorizer allows the other rights for the node's own pods. */
export function nodeRole(more: readonly V1PolicyRule[]): object[] {
  const nodes = { kind: "Group", name: "system:nodes", apiGroup: rbac };
  return role(`${objectName}-nodes`, nodes, [definitionRule, ...more]);
}

function role(
  name: string,
  subject: RbacV1Subject,
  rules: V1PolicyRule[],
): object[] {
  const metadata = { name };
  const apiVersion = `${rbac}/v1`;
  return [
    { apiVersion, kind: "ClusterRole", metadata, rules },
    {
      apiVersion,
      kind: "ClusterRoleBinding",
      metadata,
      roleRef: { apiGroup: rbac, kind: "ClusterRole", name },
      subjects: [subject],
    },
  ];
}
