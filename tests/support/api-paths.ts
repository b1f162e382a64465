/** Paths and queries of the Kubernetes API, as its test server reads them. */
import { isObject } from "./api-objects.ts";

export interface Target {
  /** As RBAC has it: `pods/status`. */
  resource: string;
  namespace: string;
  name: string;
  /** The path without namespace and name. */
  collection: string;
  query: URLSearchParams;
}

const pathPattern =
  /^(?<group>\/api\/v1|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/(?<namespace>[^/]+))?\/(?<kind>[^/]+)(?:\/(?<name>[^/]+)(?<subresource>\/status)?)?$/;

/** Of `/api/v1/namespaces/shop/pods/web/status`. */
export function targetOf(url: string, prefix: string): Target | undefined {
  const [path = "", query] = url.split("?");
  const { groups } = path.startsWith(prefix)
    ? (pathPattern.exec(path.slice(prefix.length)) ?? {})
    : {};
  if (!groups) return undefined;
  const { group, kind = "", namespace = "", name = "" } = groups;
  return {
    collection: `${group}/${kind}`,
    resource: `${kind}${groups["subresource"] ?? ""}`,
    namespace: decodeURIComponent(namespace),
    name: decodeURIComponent(name),
    query: new URLSearchParams(query),
  };
}

export function verbOf(
  method: string,
  name: string,
  query: URLSearchParams,
): string | undefined {
  if (method === "PATCH") return "patch";
  if (method === "POST") return "create";
  if (method !== "GET") return undefined;
  if (name !== "") return "get";
  return query.get("watch") === "true" ? "watch" : "list";
}

/** Of a query's field selector `spec.nodeName=node1,spec.driver=x`. */
export function selectorOf(
  query: URLSearchParams,
): (object: object) => boolean {
  const selector = query.get("fieldSelector") ?? "";
  const terms = selector.split(",").map((term) => term.split("="));
  return (object) =>
    selector === "" ||
    ("spec" in object &&
      terms.every(
        ([field = "", value]) =>
          isObject(object.spec) &&
          object.spec[field.replace("spec.", "")] === value,
      ));
}
