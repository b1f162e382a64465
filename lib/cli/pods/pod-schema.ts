/** The parts of a pod that commands read from a file; null is absent, as for the API server. */
import * as v from "valibot";
import { map, object } from "../../cni/schema.ts";

const text = v.nullish(v.string());

const owner = object({
  kind: v.string(),
  name: v.string(),
  controller: v.nullish(v.boolean()),
});

const port = object({
  hostPort: v.nullish(v.number()),
  containerPort: v.nullish(v.number()),
  protocol: text,
  hostIP: text,
});

const container = object({ ports: v.nullish(v.array(port)) });

const condition = object({ type: v.string(), status: v.string() });

/** A pod, or the template of a workload, which has no name. */
export const podSchema = object({
  metadata: v.nullish(
    object({
      name: text,
      namespace: text,
      uid: text,
      deletionTimestamp: text,
      annotations: v.nullish(map(v.string())),
      ownerReferences: v.nullish(v.array(owner)),
    }),
  ),
  spec: v.nullish(
    object({
      nodeName: text,
      hostNetwork: v.nullish(v.boolean()),
      nodeSelector: v.nullish(map(v.string())),
      containers: v.nullish(v.array(container)),
    }),
  ),
  status: v.nullish(
    object({ phase: text, conditions: v.nullish(v.array(condition)) }),
  ),
});

export type PodSpec = v.InferOutput<typeof podSchema>["spec"];
