/**
 * The notations of a pod at the command line: `p1`, `default/p1`, `pod/p1` with
 * `-n`, as in kubectl. Pure.
 */
import { UsageError } from "./command.ts";

export interface PodOperand {
  /** As in objects: `Deployment`. Absent: any. */
  kind?: string;
  namespace?: string;
  name: string;
}

/** Singular, plural and short names, as in kubectl. */
const kinds: Readonly<Record<string, readonly string[]>> = {
  Pod: ["pod", "pods", "po"],
  Deployment: ["deployment", "deployments", "deploy"],
  StatefulSet: ["statefulset", "statefulsets", "sts"],
  DaemonSet: ["daemonset", "daemonsets", "ds"],
  ReplicaSet: ["replicaset", "replicasets", "rs"],
  ReplicationController: [
    "replicationcontroller",
    "replicationcontrollers",
    "rc",
  ],
  Job: ["job", "jobs"],
  CronJob: ["cronjob", "cronjobs", "cj"],
  PodTemplate: ["podtemplate", "podtemplates"],
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

function kindOf(word: string): string | undefined {
  // kubectl accepts `deployments.apps` too.
  const [resource = ""] = word.toLowerCase().split(".");
  return Object.keys(kinds).find((kind) => kinds[kind]?.includes(resource));
}
