/**
 * The Kubernetes objects that genie needs: an account, its role with three rights,
 * the policy for its annotations, the DaemonSet, and the definition of
 * NetworkAttachmentDefinitions. Pure.
 */
import { admissionPolicy } from "./admission.ts";
import { type ManifestOptions, daemonSet } from "./daemonset.ts";

const name = "genie";

const group = "k8s.cni.cncf.io";
const definitions = "network-attachment-definitions";

/** In the order in which they can be applied. */
export function objects(options: ManifestOptions): object[] {
  const { namespace, kubeconfig } = options;
  const byAccount = kubeconfig === undefined;
  return [
    definitionOfDefinitions,
    ...(byAccount ? accountObjects(namespace) : nodeObjects),
    daemonSet(options),
  ];
}

/** Exactly the requests of `lib/kube/client.ts`. */
function accountObjects(namespace: string): object[] {
  return [
    {
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name, namespace },
    },
    role([
      { apiGroups: [""], resources: ["pods"], verbs: ["get"] },
      { apiGroups: [""], resources: ["pods/status"], verbs: ["patch"] },
      { apiGroups: [group], resources: [definitions], verbs: ["get"] },
    ]),
    binding({ kind: "ServiceAccount", name, namespace }),
    ...admissionPolicy(namespace),
  ];
}

/** The node authorizer allows the other rights for the node's own pods. */
const nodeObjects: object[] = [
  role([{ apiGroups: [group], resources: [definitions], verbs: ["get"] }]),
  binding({
    kind: "Group",
    name: "system:nodes",
    apiGroup: "rbac.authorization.k8s.io",
  }),
];

function role(rules: object[]): object {
  return {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRole",
    metadata: { name },
    rules,
  };
}

function binding(subject: object): object {
  return {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name },
    roleRef: {
      apiGroup: "rbac.authorization.k8s.io",
      kind: "ClusterRole",
      name,
    },
    subjects: [subject],
  };
}

/** NPWG v1.3 §3.1; equal to that of other implementations, so either may be applied first. */
const definitionOfDefinitions = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: `${definitions}.${group}` },
  spec: {
    group,
    scope: "Namespaced",
    names: {
      plural: definitions,
      singular: "network-attachment-definition",
      kind: "NetworkAttachmentDefinition",
      shortNames: ["net-attach-def"],
    },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            description:
              "NetworkAttachmentDefinition is a CRD schema specified by the Network Plumbing Working Group to express the intent for attaching pods to one or more logical or physical networks.",
            type: "object",
            properties: {
              apiVersion: { type: "string" },
              kind: { type: "string" },
              metadata: { type: "object" },
              spec: {
                description:
                  "NetworkAttachmentDefinition spec defines the desired state of a network attachment",
                type: "object",
                properties: {
                  config: {
                    description:
                      "NetworkAttachmentDefinition config is a JSON-formatted CNI configuration",
                    type: "string",
                  },
                },
              },
            },
          },
        },
      },
    ],
  },
};
