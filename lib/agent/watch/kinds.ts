/**
 * The kinds of objects that the agent watches, and the keys that it keeps of them: a
 * node has hundreds of objects, and managedFields alone are half of one.
 */
import type { V1Pod } from "@kubernetes/client-node";
import { type JsonObject, isObject, own } from "../../cni/json.ts";
import type { NetworkAttachmentDefinition } from "../../kube/objects.ts";
import { isDnsName } from "../../select/npwg-schema.ts";
import type { Kind } from "./kind-watch.ts";

/** The pods of a node; of every node when its name is unknown. */
export function podKind(node: string | undefined): Kind<V1Pod> {
  return {
    name: "pods",
    path: "/api/v1/pods",
    ...(node !== undefined && { fieldSelector: `spec.nodeName=${node}` }),
    keep: (object) =>
      keepKeys(object, {
        metadata: [
          "name",
          "namespace",
          "uid",
          "resourceVersion",
          "annotations",
          "ownerReferences",
          "deletionTimestamp",
        ],
        spec: ["hostNetwork"],
        status: ["phase", "conditions"],
      }),
  };
}

export const definitionKind: Kind<NetworkAttachmentDefinition> = {
  name: "network-attachment-definitions",
  path: "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions",
  keep: (object) =>
    keepKeys(object, {
      metadata: ["name", "namespace", "uid", "resourceVersion", "annotations"],
      spec: ["config"],
    }),
};

/** kubectl's copy of the whole object, in an annotation. */
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration";

/**
 * An object with these keys of these of its objects; undefined without names of
 * Kubernetes, which become names of files.
 */
function keepKeys(
  object: JsonObject,
  wanted: Readonly<Record<string, readonly string[]>>,
): JsonObject | undefined {
  const kept: Record<string, JsonObject> = {};
  for (const [part, keys] of Object.entries(wanted)) {
    const source = own(object, part);
    kept[part] = {};
    for (const key of keys) {
      const value = own(source, key) ?? undefined;
      if (value !== undefined) kept[part][key] = value;
    }
  }
  const metadata = kept["metadata"] ?? {};
  if (!isName(metadata["name"]) || !isName(metadata["namespace"]))
    return undefined;
  const { [lastApplied]: _, ...annotations } = isObject(metadata["annotations"])
    ? metadata["annotations"]
    : {};
  metadata["annotations"] = annotations;
  return kept;
}

/** `namespace/name`, for messages; the name alone without a namespace. */
export function namespacedName({
  namespace,
  name = "",
}: {
  namespace?: string | undefined;
  name?: string | undefined;
}): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

function isName(value: unknown): boolean {
  return typeof value === "string" && isDnsName(value);
}
