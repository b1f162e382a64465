/**
 * ADD for each pod. The networks are checked in the pod's network namespace, not in
 * genie's output.
 */
import { $ } from "bun";
import type { Link } from "../tests/support/netns.ts";
import type { Answer } from "../tests/support/runtime.ts";
import { type NetworkName, canalBridge, subnets } from "./networks.ts";
import type { Node, Sandbox } from "./node.ts";
import { lost, pods } from "./pods.ts";
import type { Report } from "./report.ts";

export interface Attached extends Sandbox {
  interfaces: {
    name: string;
    /** Without its prefix. */ address: string;
    network: NetworkName;
  }[];
  /** From the start of genie's process to its end. */
  ms: number;
}

export async function attachPods(
  node: Node,
  report: Report,
): Promise<Attached[]> {
  const attached: Attached[] = [];
  for (const pod of pods) {
    const { name, cni, networks } = pod;
    const annotation =
      cni === undefined ? "no annotation" : `cni: ${JSON.stringify(cni)}`;
    attached.push(
      await report.step(
        `pod ${name}, ${annotation}, is in ${networks.join(" and ")}`,
        async () => attach(node, await node.sandbox(pod)),
      ),
    );
  }
  await report.step(
    "the API server got one GET for each pod, and one PATCH for the pod with two networks",
    () => {
      const asked = node.api.requests.map(({ method, path, user, status }) =>
        [method, path.replace(/^.*\/pods\//, ""), user, status].join(" "),
      );
      const expected = pods.flatMap(({ name, networks }) => [
        `GET ${name} genie 200`,
        ...(networks.length > 1 ? [`PATCH ${name}/status genie 200`] : []),
      ]);
      expectEqual(asked, expected);
    },
  );
  return attached;
}

/** A wrong annotation is an error, and nothing is executed. */
export async function refuseUnknownNetwork(
  node: Node,
  report: Report,
): Promise<void> {
  await report.step(
    `pod ${lost.name}, cni: "${lost.cni}", is refused`,
    async () => {
      const sandbox = await node.sandbox(lost);
      const { exitCode, json } = await node.call("ADD", sandbox);
      const { code, msg } = json as { code?: number; msg?: string };
      expectEqual({ exitCode, code }, { exitCode: 1, code: 7 });
      expectEqual(await sandbox.netns.links(), []);
      return msg ?? "";
    },
    (msg) => msg,
  );
}

/** The networks differ in kind, not only in their addresses. */
export async function tellNetworks(
  attached: readonly Attached[],
  report: Report,
): Promise<void> {
  await report.step(
    "canal is a bridge of the node, weave a routed link for each pod",
    async () => {
      const links = (await $`ip -json link show type veth`.quiet().json()) as {
        master?: string;
      }[];
      const count = (network: NetworkName) =>
        attached
          .flatMap(({ interfaces }) => interfaces)
          .filter((link) => link.network === network).length;
      expectEqual(
        {
          bridged: links.filter(({ master }) => master === canalBridge).length,
          routed: links.filter(({ master }) => master === undefined).length,
        },
        { bridged: count("canal"), routed: count("weave") },
      );
    },
  );
}

async function attach(node: Node, sandbox: Sandbox): Promise<Attached> {
  const began = performance.now();
  const answer = await node.call("ADD", sandbox);
  const ms = performance.now() - began;
  requireSuccess(answer);
  const links = await sandbox.netns.links();
  const { networks } = sandbox.pod;
  expectEqual(
    links.map(({ name }) => name),
    networks.map((_, i) => `eth${i}`),
  );
  const interfaces = links.map((link, i) =>
    interfaceOf(link, networks[i] ?? "canal"),
  );
  // ADD returns the primary attachment only: the pod's address is that of eth0.
  const { ips } = answer.json as { ips: { address: string }[] };
  expectEqual(
    ips.map(({ address }) => address),
    links[0]?.addresses ?? [],
  );
  return { ...sandbox, interfaces, ms };
}

function interfaceOf({ name, addresses }: Link, network: NetworkName) {
  const [address = "", ...more] = addresses.map((cidr) =>
    cidr.replace(/\/\d+$/, ""),
  );
  if (more.length > 0 || !address.startsWith(`${subnets[network]}.`)) {
    throw new Error(
      `${name} has ${addresses.join(", ") || "no address"}, not one of ${network}`,
    );
  }
  return { name, address, network };
}

/** Throws Error with the words of genie. */
export function requireSuccess({ exitCode, stdout, stderr }: Answer): void {
  if (exitCode !== 0)
    throw new Error(`exit code ${exitCode}: ${(stdout + stderr).trim()}`);
}

export function expectEqual<T>(actual: T, expected: T): void {
  if (Bun.deepEquals(actual, expected)) return;
  throw new Error(
    `expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`,
  );
}
