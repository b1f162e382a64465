/**
 * How the implementations of MultiNetworkPolicy (k8snetworkplumbingwg:
 * multi-networkpolicy-nftables and multi-networkpolicy-iptables) find the interfaces of
 * a pod that a policy is about: by the pod's annotations `networks` and
 * `network-status`, by the definition, and by the policy's annotation `policy-for`.
 */
import { networksKey, statusKey } from "./cluster.ts";

export interface PolicyInterface {
  interface: string;
  ips: string[];
}

/** The objects that an implementation reads. */
export interface PolicyView {
  namespace: string;
  annotations: Readonly<Record<string, string>>;
  /** `spec.config` by `namespace/name`. */
  definitions: Readonly<Record<string, string>>;
  /** The types of its option `--network-plugins`. */
  plugins: readonly string[];
  /** The network files that it sees, for definitions without `spec.config`: types by `name`. */
  files?: Readonly<Record<string, string>>;
}

interface Status {
  name: string;
  interface: string;
  ips?: string[];
}

interface Selected {
  namespace: string;
  name: string;
}

/** `a, ns/b` of a policy in a namespace. */
function policyNetworks(policyFor: string, namespace: string): string[] {
  return policyFor
    .split(",")
    .map((text) => text.trim())
    .filter((text) => text !== "" && text.split("/").length <= 2)
    .map((text) => (text.includes("/") ? text : `${namespace}/${text}`));
}

/** The library that both use for the annotation `networks`: JSON is an array, else names. */
function selectedNetworks({ annotations, namespace }: PolicyView): Selected[] {
  const text = annotations[networksKey];
  if (text === undefined || text === "") return [];
  if (/[[{"]/.test(text)) {
    const elements: unknown = JSON.parse(text);
    if (!Array.isArray(elements)) return [];
    return (elements as Partial<Selected>[]).map((one) => ({
      namespace: one.namespace ?? namespace,
      name: one.name ?? "",
    }));
  }
  return text.split(",").map((item) => {
    const [path = ""] = item.trim().split("@");
    const parts = path.split("/");
    const name = parts.pop() ?? "";
    return { namespace: parts[0] ?? namespace, name };
  });
}

function statuses({ annotations }: PolicyView): Status[] {
  return JSON.parse(annotations[statusKey] ?? "[]") as Status[];
}

/** The first plugin's type; undefined where the library fails. */
function typeOf(config: string): string | undefined {
  try {
    const value = JSON.parse(config) as {
      type?: string;
      plugins?: { type?: string }[];
    };
    return value.plugins?.[0]?.type ?? value.type;
  } catch {
    return undefined;
  }
}

/** multi-networkpolicy-nftables: the definition must have `spec.config`. */
export function byNftables(
  view: PolicyView,
  policyFor: string,
): PolicyInterface[] {
  const { namespace, definitions, plugins } = view;
  const allowed = new Set(
    policyNetworks(policyFor, namespace).filter((network) =>
      plugins.includes(typeOf(definitions[network] ?? "") ?? ""),
    ),
  );
  const names = new Set(selectedNetworks(view).map(({ name }) => name));
  return statuses(view).flatMap(
    ({ name: full, interface: ifname, ips = [] }) => {
      const parts = full.split("/");
      const name = parts.pop() ?? "";
      const network = `${parts[0] ?? namespace}/${name}`;
      return names.has(name) && allowed.has(network)
        ? [{ interface: ifname, ips }]
        : [];
    },
  );
}

/** multi-networkpolicy-iptables: a definition without `spec.config` is a file of the node. */
export function byIptables(
  view: PolicyView,
  policyFor: string,
): PolicyInterface[] {
  const { namespace, definitions, plugins, files = {} } = view;
  const networks = policyNetworks(policyFor, namespace);
  const types = new Map(
    selectedNetworks(view).map((one) => {
      const path = `${one.namespace}/${one.name}`;
      const config = definitions[path];
      const type = config === "" ? files[one.name] : typeOf(config ?? "");
      return [path, type];
    }),
  );
  return statuses(view).flatMap(({ name, interface: ifname, ips = [] }) => {
    const path = name.includes("/") ? name : `${namespace}/${name}`;
    // It compares the status's own text with the policy's networks.
    return plugins.includes(types.get(path) ?? "") && networks.includes(name)
      ? [{ interface: ifname, ips }]
      : [];
  });
}
