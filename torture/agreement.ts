/**
 * What the agent promises of a running pod: after a while its interfaces, addresses,
 * record and status are those that its annotations name.
 */
import { readFileSync } from "node:fs";
import { networksAnnotation } from "../lib/select/attachment.ts";
import type { Link, Netns } from "../tests/support/netns.ts";
import { type TorturedNode, nodeName } from "./tortured-node.ts";

const statusAnnotation = "k8s.v1.cni.cncf.io/network-status";

/** Each element with its interface or without: `weave`, `side@net5`. */
export interface Networks {
  /** Networks of the node, the primary first; absent: the node chooses the primary. */
  cni?: readonly string[];
  /** Definitions of the pod's namespace. */
  definitions: readonly string[];
}

export interface RunningPod {
  name: string;
  containerId: string;
  uid?: string;
  netns: Netns;
}

/** Edits the pod's annotations, as a client of the API server does; others stay. */
export function editNetworks(
  { name, uid }: Pick<RunningPod, "name" | "uid">,
  { cni, definitions }: Networks,
  node: TorturedNode,
): void {
  const { pods } = node.api;
  const known = pods.get("shop", name);
  const {
    cni: _,
    [networksAnnotation]: __,
    ...others
  } = known?.metadata.annotations ?? {};
  pods.put({
    metadata: {
      name,
      namespace: "shop",
      ...(uid !== undefined && { uid }),
      annotations: {
        ...others,
        ...(cni && { cni: cni.join(",") }),
        ...(definitions.length > 0 && {
          [networksAnnotation]: definitions.join(","),
        }),
      },
    },
    spec: { nodeName },
  });
}

/** The differences that are left after so many milliseconds; none if everything agrees before. */
export async function disagreements(
  pod: RunningPod,
  networks: Networks,
  node: TorturedNode,
  limitMs: number,
): Promise<string[]> {
  const end = performance.now() + limitMs;
  for (;;) {
    const found = await differences(pod, networks, node);
    if (found.length === 0 || performance.now() > end) return found;
    await Bun.sleep(100);
  }
}

interface Recorded {
  ifname: string;
  network: string;
  isLedger: boolean;
  addresses: string[];
}

async function differences(
  pod: RunningPod,
  networks: Networks,
  node: TorturedNode,
): Promise<string[]> {
  const recorded = recordOf(pod, node);
  if (typeof recorded === "string") return [recorded];
  const links = await pod.netns.links();
  const lines = (list: readonly { ifname: string; addresses: string[] }[]) =>
    list
      .map(({ ifname, addresses }) => `${ifname} ${addresses.join(" ")}`)
      .toSorted();
  const real = recorded.filter(({ isLedger }) => !isLedger);
  const ledger = recorded.filter(({ isLedger }) => isLedger);
  const owner = (ifname: string) => `${pod.containerId} ${ifname}`;
  const [named, wanted] = namedAndWanted(recorded, networks);
  const compared: [what: string, seen: unknown, expected: unknown][] = [
    ["the record's networks", named, wanted],
    ["interfaces", lines(links.filter(hasFinalName).map(byName)), lines(real)],
    [
      "reserved addresses",
      node
        .addresses()
        .filter((one) => one.owner.startsWith(pod.containerId))
        .map((one) => `${one.owner} ${one.file.split("/")[1]}`)
        .toSorted(),
      real
        .flatMap(({ ifname, addresses }) =>
          addresses.map((address) => `${owner(ifname)} ${bare(address)}`),
        )
        .toSorted(),
    ],
    [
      "ledger entries",
      node.plugins
        .ledger()
        .filter((entry) => entry.startsWith(`${pod.containerId}:`))
        // That of the primary may be the auxiliary chain's.
        .filter((entry) => !entry.endsWith(":eth0"))
        .toSorted(),
      ledger
        .filter(({ ifname }) => ifname !== "eth0")
        .map(({ ifname }) => `${pod.containerId}:${ifname}`)
        .toSorted(),
    ],
  ];
  const status = statusOf(pod, node);
  if (status || recorded.length > 1)
    compared.push([
      "network-status",
      status && lines(status),
      lines(
        recorded.map((one) => ({
          ...one,
          addresses: one.addresses.map(bare),
        })),
      ),
    ]);
  return compared.flatMap(([what, seen, expected]) =>
    Bun.deepEquals(seen, expected)
      ? []
      : [`${what}: ${JSON.stringify(seen)}, not ${JSON.stringify(expected)}`],
  );
}

/** A plugin that was killed leaves one without: it renames it last. */
function hasFinalName({ name }: Link): boolean {
  return /^(?:eth|net|pod)\d+$/.test(name);
}

function byName({ name, addresses }: Link) {
  return { ifname: name, addresses };
}

function bare(address: string): string {
  return address.split("/")[0] ?? "";
}

/** The attachments beside the primary, the auxiliary chain and those by hand, as the annotations spell them. */
function namedAndWanted(
  recorded: readonly Recorded[],
  { cni = [], definitions }: Networks,
): [named: string[], wanted: string[]] {
  const wanted = [
    ...cni.slice(1),
    ...definitions.map((definition) => `shop/${definition}`),
  ];
  const free = [...wanted];
  const named = recorded
    .filter(({ ifname }) => ifname !== "eth0" && ifname !== "eth9")
    .map(({ network, ifname }) => {
      const i = [`${network}@${ifname}`, network]
        .map((text) => free.indexOf(text))
        .find((at) => at >= 0);
      return i === undefined ? `${network}@${ifname}` : free.splice(i, 1)[0];
    });
  return [named.map(String).toSorted(), wanted.toSorted()];
}

/** Or the reason why it cannot be read. */
function recordOf(
  { containerId }: RunningPod,
  node: TorturedNode,
): Recorded[] | string {
  interface Attachment {
    ifname: string;
    definition?: string;
    requested?: string;
    element?: { network: string };
    origin?: string;
  }
  interface Result {
    ifname: string;
    result?: { ips?: { address: string }[] };
  }
  const read = (part: "json" | "result.json"): object =>
    JSON.parse(
      readFileSync(node.recordPath(containerId, part), "utf8"),
    ) as object;
  try {
    const { attachments } = read("json") as { attachments: Attachment[] };
    const { results } = read("result.json") as { results: Result[] };
    return attachments
      .filter(({ origin }) => origin !== "auxiliary")
      .map(({ ifname, definition, requested, element }) => {
        const network = definition ?? element?.network ?? requested ?? "";
        const found = results.find((one) => one.ifname === ifname)?.result;
        const addresses = (found?.ips ?? []).map(({ address }) => address);
        const isLedger = addresses.some((one) => one.startsWith("10.99."));
        return { ifname, network, isLedger, addresses };
      });
  } catch (error) {
    return `the record cannot be read: ${String(error)}`;
  }
}

function statusOf({ name }: RunningPod, node: TorturedNode) {
  const { metadata } = node.api.pods.get("shop", name) ?? {};
  const text = metadata?.annotations?.[statusAnnotation];
  if (text === undefined) return undefined;
  const status = JSON.parse(text) as { interface: string; ips?: string[] }[];
  return status.map((one) => ({
    ifname: one.interface,
    addresses: one.ips ?? [],
  }));
}
