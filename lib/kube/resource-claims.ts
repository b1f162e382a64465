/**
 * The API group `resource.k8s.io` (Dynamic Resource Allocation): the devices of a
 * driver on a node, a pod's claims, a claim's devices. Loaded for pods with claims.
 */
import * as v from "valibot";
import { jsonIfAny } from "../cni/json.ts";
import { jsonObject, map, object, parse } from "../cni/schema.ts";
import { quote } from "../linux/text.ts";
import { ApiError } from "./api-error.ts";
import { type Kube, objectRequest, podRequest } from "./client.ts";
import { type PodIdentity, isMeant, otherPod } from "./objects.ts";
import type { Call } from "./request.ts";

interface SliceDevice {
  pool: string;
  device: string;
  attributes: unknown;
}

const sliceList = object({
  items: v.nullable(
    v.array(
      object({
        spec: object({
          pool: object({ name: v.string(), generation: v.nullish(v.number()) }),
          devices: v.nullish(
            v.array(
              object({
                name: v.string(),
                attributes: v.nullish(jsonObject),
                // v1beta1
                basic: v.nullish(object({ attributes: v.nullish(jsonObject) })),
              }),
            ),
          ),
        }),
      }),
    ),
  ),
});

/** Throws an `ApiError`. */
export async function listSliceDevices(
  kube: Kube,
  node: string,
  driver: string,
): Promise<SliceDevice[]> {
  const selector = `spec.nodeName=${node},spec.driver=${driver}`;
  const list = await read(kube, sliceList, (api) => ({
    method: "GET",
    path: `${api}/resourceslices?fieldSelector=${encodeURIComponent(selector)}`,
    action: () => `list resourceslices of driver ${quote(driver)}`,
    subject: { name: "", unknownKind },
  }));
  const items = list.items ?? [];
  const newest = new Map<string, number>();
  for (const { spec } of items) {
    const { name, generation } = spec.pool;
    newest.set(name, Math.max(newest.get(name) ?? 0, generation ?? 0));
  }
  // A driver that changes a pool replaces its slices one after the other.
  return items
    .filter(
      ({ spec: { pool } }) => (pool.generation ?? 0) === newest.get(pool.name),
    )
    .flatMap(({ spec: { pool, devices } }) =>
      (devices ?? []).map(({ name, attributes, basic }) => ({
        pool: pool.name,
        device: name,
        attributes: attributes ?? basic?.attributes,
      })),
    );
}

const namedClaims = v.nullish(
  v.array(
    object({ name: v.string(), resourceClaimName: v.nullish(v.string()) }),
  ),
);

const podWithClaims = object({
  metadata: object({
    uid: v.nullish(v.string()),
    annotations: v.nullish(map(v.string())),
  }),
  spec: object({ resourceClaims: namedClaims }),
  status: v.nullish(object({ resourceClaimStatuses: namedClaims })),
});

/** Name in the pod → name of the claim. Throws an `ApiError`. */
export async function getPodClaims(
  kube: Kube,
  { namespace, name, uid = "" }: PodIdentity,
): Promise<ReadonlyMap<string, string>> {
  const request = podRequest(namespace, name, "get");
  const text = await kube.get(request);
  const { metadata, spec, status } = decode(
    podWithClaims,
    text,
    request.action,
  );
  const { uid: found, annotations } = metadata;
  if (!isMeant(found ?? "", annotations ?? {}, uid))
    throw otherPod(namespace, name, found ?? "", uid);
  const named = [
    ...(spec.resourceClaims ?? []),
    ...(status?.resourceClaimStatuses ?? []),
  ];
  return new Map(
    named.flatMap(({ name: inPod, resourceClaimName }) =>
      resourceClaimName ? [[inPod, resourceClaimName] as const] : [],
    ),
  );
}

const resourceClaim = object({
  status: v.nullish(
    object({
      allocation: v.nullish(
        object({
          devices: v.nullish(
            object({
              results: v.nullish(
                v.array(
                  object({
                    request: v.string(),
                    driver: v.string(),
                    pool: v.string(),
                    device: v.string(),
                    shareID: v.nullish(v.string()),
                  }),
                ),
              ),
            }),
          ),
        }),
      ),
    }),
  ),
});

/** The devices that the scheduler allocated. Throws an `ApiError`. */
export async function getAllocation(
  kube: Kube,
  { namespace, name }: { namespace: string; name: string },
) {
  const resource = {
    verb: "get resourceclaim",
    plural: "resourceclaims",
    unknownKind,
  };
  const claim = await read(kube, resourceClaim, (api) =>
    objectRequest({ ...resource, api }, namespace, name),
  );
  const results = claim.status?.allocation?.devices?.results ?? [];
  return results.map(({ shareID, ...one }) => ({
    ...one,
    share: shareID ?? "",
  }));
}

const unknownKind =
  "the server knows neither resource.k8s.io/v1 nor v1beta1: Dynamic Resource Allocation is not enabled";

/** v1 is served since Kubernetes 1.34, v1beta1 since 1.32. */
const versions = ["v1", "v1beta1"] as const;

/** The first error is thrown, unless a later version knows more. */
async function read<S extends v.GenericSchema>(
  kube: Kube,
  schema: S,
  requestTo: (api: string) => Call,
): Promise<v.InferInput<S>> {
  let failure: unknown;
  for (const version of versions) {
    const request = requestTo(`/apis/resource.k8s.io/${version}`);
    try {
      return decode(schema, await kube.get(request), request.action);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
      // The version is served, but there is no such object.
      if (request.subject.name !== "" && !error.message.includes(unknownKind))
        throw error;
      failure ??= error;
    }
  }
  throw failure;
}

function decode<S extends v.GenericSchema>(
  schema: S,
  text: string,
  action: () => string,
): v.InferInput<S> {
  const fail = (problem: string) =>
    new ApiError(`failed to ${action()}: invalid response: ${problem}`);
  return parse(schema, jsonIfAny(text), fail, { secret: true });
}
