/**
 * The device metadata that a DRA driver writes on the node (KEP-5304): one file for
 * each request of a claim, below the driver's directory of the kubelet,
 * `plugins/<driver>/dra-device-metadata/<namespace>_<claim>/<request>/metadata.json`.
 * A file that is missing, torn, of an unknown kind or of another claim is the same as
 * none.
 */
import { dirname } from "node:path";
import * as v from "valibot";
import { listIfAny } from "../linux/files.ts";
import { readOwnFileIfAny } from "../linux/own-files.ts";
import { jsonObject, map, object } from "../cni/schema.ts";

/** A request of a claim, with its devices. */
export interface MetadataRequest {
  /** The claim's name in the pod; absent for a claim that the pod names directly. */
  podClaimName?: string | null | undefined;
  /** `<request>`, or `<request>/<subrequest>`. */
  name: string;
  devices: MetadataDevice[];
}

interface ClaimName {
  namespace: string;
  name: string;
}

type MetadataDevice = v.InferInput<typeof device>;

const device = object({
  driver: v.string(),
  pool: v.string(),
  name: v.string(),
  attributes: v.nullish(map(jsonObject)),
});

const metadata = object({
  apiVersion: v.pipe(v.string(), v.startsWith("metadata.resource.k8s.io/")),
  kind: v.literal("DeviceMetadata"),
  metadata: v.nullish(
    object({ name: v.nullish(v.string()), namespace: v.nullish(v.string()) }),
  ),
  podClaimName: v.nullish(v.string()),
  requests: v.nullish(
    v.array(object({ name: v.string(), devices: v.nullish(v.array(device)) })),
  ),
});

/** Limit of a file, in bytes. */
const maxBytes = 1 << 20;

/** The kubelet's directory: the PodResources socket is `<it>/pod-resources/kubelet.sock`. */
export function kubeletDirectories(socket: string): string[] {
  return [...new Set([dirname(dirname(socket)), "/var/lib/kubelet"])];
}

/** The requests of a claim, as its driver describes them; empty without a file. */
export function readClaimMetadata(
  directories: readonly string[],
  driver: string,
  claim: ClaimName,
): MetadataRequest[] {
  const below = `dra-device-metadata/${claim.namespace}_${claim.name}`;
  if (![driver, claim.namespace, claim.name].every(isName)) return [];
  for (const directory of directories) {
    const found = requestsBelow(
      `${directory}/plugins/${driver}/${below}`,
      claim,
    );
    if (found.length > 0) return found;
  }
  return [];
}

/** The names of Kubernetes; never a path to elsewhere. */
function isName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9.-]*$/.test(name);
}

function requestsBelow(directory: string, claim: ClaimName): MetadataRequest[] {
  return orNone(() => listIfAny(directory).toSorted()).flatMap((request) =>
    orNone(() => {
      const path = `${directory}/${request}/metadata.json`;
      return decodeMetadata(readOwnFileIfAny(path, maxBytes) ?? "", claim);
    }),
  );
}

function orNone<T>(read: () => T[]): T[] {
  try {
    return read();
  } catch {
    return [];
  }
}

/**
 * The file is a stream of JSON objects, the same content once for each version of
 * the format: the first known one counts.
 */
export function decodeMetadata(
  text: string,
  claim: ClaimName,
): MetadataRequest[] {
  for (const json of objectsIn(text)) {
    const value: unknown = JSON.parse(json);
    if (!v.is(metadata, value)) continue;
    const { metadata: of, podClaimName, requests } = value;
    if ((of?.name ?? claim.name) !== claim.name) return [];
    if ((of?.namespace ?? claim.namespace) !== claim.namespace) return [];
    return (requests ?? []).map(({ name, devices }) => ({
      podClaimName,
      name,
      devices: devices ?? [],
    }));
  }
  return [];
}

/** The texts of the outermost objects. Reads each character once, also of a torn text. */
function* objectsIn(text: string): Generator<string> {
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '"') at = endOfString(text, at);
    else if (char === "{" && depth++ === 0) start = at;
    else if (char === "}" && --depth === 0) yield text.slice(start, at + 1);
  }
}

/** The quotation mark that ends the string which begins at `start`; the end of the text for none. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '"') return at;
    if (text[at] === "\\") at++;
  }
  return text.length;
}
