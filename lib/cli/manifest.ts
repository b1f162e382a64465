/**
 * `genie manifest`: the Kubernetes objects that genie needs, as YAML on stdout: an
 * account, its role with three rights, the policy for its annotations, the DaemonSet,
 * and the definition of NetworkAttachmentDefinitions.
 *
 * RBAC can only allow the whole status of a pod. The policy allows genie's account the
 * annotations that genie writes, and nothing else (selection.md §7): a stolen token
 * cannot mark pods as ready or change annotations of others.
 */
import { type Command, UsageError } from "./command.ts";
import { directoryOptions, directoriesOf } from "./node.ts";
import { type ManifestOptions, daemonSet } from "./daemonset.ts";

/** An image reference with tag or digest, as containerd accepts it. */
const imagePattern = /^[A-Za-z0-9][A-Za-z0-9._:/@-]*$/;
const namespacePattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

export const manifest: Command = {
  about: `For \`kubectl apply -f -\`. Genie uses a service account of its own. With --node-credentials it uses the
kubelet's kubeconfig: then there is no account, and nodes get the right to read network attachment
definitions.`,
  options: {
    image: {
      value: "IMAGE",
      about:
        "container image whose entry point is this executable (default genie:<version>)",
    },
    namespace: {
      value: "NS",
      short: "n",
      about: "namespace of genie's objects (default kube-system)",
    },
    "node-credentials": {
      about: "use the kubelet's kubeconfig in place of a service account",
    },
    kubeconfig: {
      value: "FILE",
      path: "file",
      about:
        "kubeconfig of --node-credentials (default /etc/kubernetes/kubelet.conf)",
    },
    default: {
      value: "NETWORK",
      about:
        "network of pods that choose none (default each node's first file)",
    },
    ...directoryOptions,
  },
  async run(input, { stdout, version }) {
    const image = input.text("image") ?? `genie:${version}`;
    const namespace = input.text("namespace") ?? "kube-system";
    if (!imagePattern.test(image))
      throw new UsageError(
        `--image: ${JSON.stringify(image)} is not the name of an image`,
      );
    if (!namespacePattern.test(namespace))
      throw new UsageError(
        `--namespace: ${JSON.stringify(namespace)} is not the name of a namespace`,
      );
    const nodeCredentials = input.flag("node-credentials");
    const kubeconfig = input.path("kubeconfig");
    if (kubeconfig !== undefined && !nodeCredentials)
      throw new UsageError("--kubeconfig needs --node-credentials");
    const documents = objects({
      image,
      namespace,
      kubeconfig: nodeCredentials
        ? (kubeconfig ?? "/etc/kubernetes/kubelet.conf")
        : undefined,
      defaultNetwork: input.text("default"),
      directories: directoriesOf(input),
    }).map((object) => `${yaml(object)}\n`);
    await stdout(documents.join("---\n"));
    return 0;
  },
};

/** Without YAML anchors: objects that share a part repeat it, for the reader. */
function yaml(object: object): string {
  return Bun.YAML.stringify(JSON.parse(JSON.stringify(object)), null, 2);
}

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

/** The annotations that genie writes. */
const keys = ["multi-ip-preferences", "k8s.v1.cni.cncf.io/network-status"];

/** CEL: a map or list of the metadata, empty if absent. */
const metadataOf = (object: string, key: string, empty: string): string =>
  `has(${object}.metadata.${key}) ? ${object}.metadata.${key} : ${empty}`;

const unchanged = (key: string, empty: string): string =>
  `(${metadataOf("object", key, empty)}) == (${metadataOf("oldObject", key, empty)})`;

/** The policy and its binding; the API server must be 1.30 or later. */
function admissionPolicy(namespace: string): object[] {
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
