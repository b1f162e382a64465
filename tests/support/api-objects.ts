/** The objects of the tests' API server: stored, watched, and patched as the real one does. */

/** A stored object; other keys are kept unchanged. */
export interface StoredObject {
  metadata: {
    name: string;
    namespace?: string;
    uid?: string;
    resourceVersion?: string;
    annotations?: Record<string, string>;
    [key: string]: unknown;
  };
  [key: string]: unknown;
}

export interface Change {
  type: "ADDED" | "MODIFIED" | "DELETED";
  object: StoredObject;
}

/** The objects of one resource. What is put in is completed as the real server does: namespace, uid, resourceVersion. */
export class Store {
  readonly #objects = new Map<string, StoredObject>();
  readonly #nextVersion: () => string;
  /** All of them, for watches. */
  readonly changes: Change[] = [];
  readonly listeners = new Set<(change: Change) => void>();

  constructor(nextVersion: () => string) {
    this.#nextVersion = nextVersion;
  }

  list(): StoredObject[] {
    return [...this.#objects.values()];
  }

  get(namespace: string, name: string): StoredObject | undefined {
    return this.#objects.get(`${namespace}/${name}`);
  }

  put(object: StoredObject): StoredObject {
    const { namespace = "default", uid = crypto.randomUUID() } =
      object.metadata;
    const resourceVersion = this.#nextVersion();
    const stored = {
      ...object,
      metadata: { ...object.metadata, namespace, uid, resourceVersion },
    };
    const key = `${namespace}/${object.metadata.name}`;
    const type = this.#objects.has(key) ? "MODIFIED" : "ADDED";
    this.#objects.set(key, stored);
    this.#changed({ type, object: stored });
    return stored;
  }

  delete(namespace: string, name: string): boolean {
    const object = this.get(namespace, name);
    if (!object) return false;
    this.#objects.delete(`${namespace}/${name}`);
    const resourceVersion = this.#nextVersion();
    const metadata = { ...object.metadata, resourceVersion };
    this.#changed({ type: "DELETED", object: { ...object, metadata } });
    return true;
  }

  #changed(change: Change): void {
    this.changes.push(change);
    for (const listener of this.listeners) listener(change);
  }
}

/** The object with a merge patch (RFC 7386), or why it is refused: a uid or resourceVersion in the patch is a precondition. */
export function patched(
  object: StoredObject,
  body: string,
  contentType: string,
): { object: StoredObject } | { status: number; message: string } {
  if (!/^application\/(?:strategic-)?merge-patch\+json/.test(contentType))
    return {
      status: 415,
      message: "the body of the request was in an unknown format",
    };
  const patch = parsed(body);
  if (!isObject(patch))
    return { status: 400, message: "the patch is no JSON object" };
  const conflict = conflictOf(object, patch["metadata"]);
  if (conflict !== undefined)
    return {
      status: 409,
      message: `Operation cannot be fulfilled on "${object.metadata.name}": ${conflict}`,
    };
  return { object: merged(object, patch) as StoredObject };
}

function conflictOf(
  { metadata: { uid, resourceVersion } }: StoredObject,
  patch: unknown,
): string | undefined {
  const { uid: expected = uid, resourceVersion: version = resourceVersion } =
    isObject(patch) ? patch : {};
  if (version !== resourceVersion) return "the object has been modified";
  if (expected === uid) return undefined;
  return `Precondition failed: UID in precondition: ${JSON.stringify(expected)}, UID in object meta: ${uid}`;
}

function merged(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  }
  return result;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
