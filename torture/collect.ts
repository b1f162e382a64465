/**
 * Everything that collects garbage: the runtime's GC, that of another genie list, and
 * `genie gc`. An attached pod must lose nothing.
 */
import { command } from "./command.ts";
import { type Outcome, callGenie } from "./calls.ts";
import type { Pod } from "./life.ts";
import { type TorturedNode, otherNetwork } from "./tortured-node.ts";

/** Does `work` beside the pods: attached pods must lose nothing. */
export async function besidePods(
  what: string,
  pods: readonly Pod[],
  node: TorturedNode,
  work: () => Promise<unknown>,
): Promise<void> {
  const attached = new Map(
    pods
      .filter(({ state }) => state === "attached")
      .map((pod) => [pod, heldBy(pod, node)]),
  );
  await work();
  for (const [pod, before] of attached) {
    const lost = before.filter((entry) => !heldBy(pod, node).includes(entry));
    if (pod.state === "attached" && lost.length > 0)
      node.report.find(`${pod.label}: ${what} took ${lost.join(", ")}`);
  }
}

/** Addresses, and entries in the ledger. */
export function heldBy(
  { containerId }: { containerId: string },
  node: TorturedNode,
): string[] {
  const own = (text: string) => text.startsWith(containerId);
  return [
    ...node.plugins.ledger().filter(own),
    ...node
      .addresses()
      .flatMap(({ file, owner }) => (own(owner) ? [file] : [])),
  ];
}

/** GC as a runtime calls it, with these containers still valid. */
export function gc(
  valid: readonly { containerId: string }[],
  node: TorturedNode,
  killMs?: number,
): Promise<Outcome> {
  const list = valid.map(({ containerId }) => ({
    containerID: containerId,
    ifname: "eth0",
  }));
  return callGenie(node, {
    verb: "GC",
    config: node.config({ "cni.dev/valid-attachments": list }),
    killMs,
  });
}

/** As CRI-O calls it for each list that is not its default: nothing is valid. */
export async function gcOfOtherList(node: TorturedNode): Promise<void> {
  node.report.count("calls", "GC of another list");
  await callGenie(node, {
    verb: "GC",
    config: node.config({
      name: otherNetwork,
      "cni.dev/valid-attachments": null,
    }),
  });
}

export interface GenieGc {
  exitCode: number;
  text: string;
}

/** `genie gc`, for namespaces that are gone at this moment; by another command, if there is one. */
export async function genieGc(
  node: TorturedNode,
  wrapper: readonly string[] = [],
): Promise<GenieGc> {
  const words = ["gc", "--grace=0"];
  const { exitCode, stdout, stderr } = await command(node, words, { wrapper });
  for (const containerId of deletedIn(stdout)) {
    if (node.records().includes(`${containerId}:eth0.json`))
      node.report.find(
        `genie gc says "deleted" of ${containerId}, whose record is there`,
      );
  }
  return { exitCode, text: stdout + stderr };
}

function deletedIn(stdout: string): string[] {
  return Array.from(
    stdout.matchAll(/^deleted ([0-9a-f]{64}) eth0$/gm),
    ([, containerId = ""]) => containerId,
  );
}
