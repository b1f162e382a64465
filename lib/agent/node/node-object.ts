/** The node's object in the API: its taints and labels, read and patched. */
import type { V1Taint } from "@kubernetes/client-node";
import { isObject, own } from "../../cni/json.ts";
import { type ApiChange, jsonOf } from "../../kube/typed-api.ts";
import { ResponseError, requireSuccess } from "../watch/api-response.ts";
import type { Agent } from "../part.ts";

interface NodeObject {
  resourceVersion: string;
  labels: Readonly<Record<string, unknown>>;
  taints: readonly V1Taint[];
}

/** Milliseconds of one request. */
const limitMs = 5000;

/** Throws Error, also for an unknown name of the node. */
export async function getNode(agent: Agent): Promise<NodeObject> {
  const body = await jsonOf(await send(agent));
  const metadata = own(body, "metadata");
  const labels = own(metadata, "labels");
  const taints = own(own(body, "spec"), "taints");
  return {
    resourceVersion: String(own(metadata, "resourceVersion")),
    labels: isObject(labels) ? labels : {},
    // The API server validates them.
    // oxlint-disable-next-line no-unsafe-type-assertion -- patched back as they are
    taints: Array.isArray(taints) ? (taints as V1Taint[]) : [],
  };
}

/** A merge patch. Throws Error; 409 when `metadata.resourceVersion` is given and is an old one. */
export async function patchNode(agent: Agent, patch: object): Promise<void> {
  const response = await send(agent, { method: "PATCH", body: patch });
  await response.body?.cancel();
}

async function send(agent: Agent, change?: ApiChange): Promise<Response> {
  const { node } = agent;
  if (node === "") throw new Error("the name of this node is unknown: --node");
  const api = await agent.api();
  const path = `/api/v1/nodes/${encodeURIComponent(node)}`;
  const response = await api.send(path, AbortSignal.timeout(limitMs), change);
  const action = `${change ? "patch" : "get"} node "${node}"`;
  return requireSuccess(
    response,
    (status) => new ResponseError(status, action),
  );
}
