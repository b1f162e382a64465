/**
 * What the API server must answer, validated at this edge: of each object the
 * few keys that genie reads, annotations always an object of strings.
 */
import type { V1ObjectMeta } from "@kubernetes/client-node";
import * as v from "valibot";
import { isObject } from "../cni/json.ts";
import { ApiError } from "./error.ts";
import { stated } from "./options.ts";

export type Pod = KubeObject;

/** NPWG v1.3 §3: the configuration is text in `spec.config`, or a file of the node. */
export interface NetworkAttachmentDefinition extends KubeObject {
  spec: { config?: string };
}

export interface KubeObject {
  metadata: Metadata;
}

/** Always there, empty where the object has none. */
export type Metadata = Pick<V1ObjectMeta, "name" | "namespace" | "uid"> & {
  annotations: Record<string, string>;
};

const text = v.nullish(v.string());

/** By own property: `constructor` is an annotation like any other. */
const annotations = v.nullish(
  v.custom<Record<string, string>>(
    (value) =>
      isObject(value) &&
      Object.values(value).every((entry) => typeof entry === "string"),
    "expected an object of strings",
  ),
);

const metadata = v.pipe(
  v.looseObject({ name: text, namespace: text, uid: text, annotations }),
  v.transform(({ name, namespace, uid, annotations: map }) => ({
    ...stated<Pick<V1ObjectMeta, "name" | "namespace" | "uid">>({
      name: name ?? undefined,
      namespace: namespace ?? undefined,
      uid: uid ?? undefined,
    }),
    annotations: map ?? {},
  })),
);

export const podSchema = v.object({ metadata });

const spec = v.pipe(
  v.nullish(v.object({ config: text }), {}),
  v.transform(({ config }) =>
    stated<{ config?: string }>({ config: config ?? undefined }),
  ),
);

// A definition without spec names a file of the node: nullish() fills it in.
export const definitionSchema = v.object({ metadata, spec });

/** Throws an `ApiError` naming the key that is wrong; no value is quoted. */
export function parseAnswer<T>(
  schema: v.GenericSchema<unknown, T>,
  answer: string,
  action: () => string,
): T {
  const parsed = v.safeParse(schema, decode(answer, action));
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const key = v.getDotPath(issue) ?? "";
  throw new ApiError(
    `failed to ${action()}: invalid answer: ${key}: ${expectation(issue)}`,
  );
}

function expectation(issue: v.BaseIssue<unknown>): string {
  if (issue.received === "undefined") return "is missing";
  if (issue.type === "custom") return issue.message;
  return `expected ${issue.expected?.toLowerCase() ?? issue.type}`;
}

function decode(answer: string, action: () => string): unknown {
  try {
    const value: unknown = JSON.parse(answer);
    if (isObject(value)) return value;
  } catch {
    // Not JSON; the message of the parser would quote the answer.
  }
  throw new ApiError(`failed to ${action()}: the answer is no JSON object`);
}
