/**
 * Changes of a pod between its ADD and its DEL, as a table. Records are edited as
 * files.
 */
import type { Disturbance } from "./faults.ts";
import { type TorturedNode, nodeName } from "./tortured-node.ts";

/** The parts of a pod that a disturbance can change. */
export interface Disturbed {
  node: TorturedNode;
  name: string;
  containerId: string;
  uid: string;
  /** Whether there was one. */
  removeNetns(): Promise<boolean>;
  /** For all calls to come. */
  annotate(annotations: Record<string, string>): void;
  configureFrom(confDir: string): void;
}

/** Whether there was something to disturb. */
export async function disturb(
  pod: Disturbed,
  disturbance: Disturbance,
): Promise<boolean> {
  return happenings[disturbance](pod);
}

const happenings: Record<
  Disturbance,
  (pod: Disturbed) => boolean | Promise<boolean>
> = {
  "annotation changed"({ node, name, uid, annotate }) {
    const annotations = { cni: "nowhere" };
    annotate(annotations);
    node.api.pods.put({
      metadata: { name, namespace: "shop", uid, annotations },
      spec: { nodeName },
    });
    return true;
  },
  "pod gone from the API server": ({ node, name }) =>
    node.api.pods.delete("shop", name),
  "configuration files removed"({ node, configureFrom }) {
    configureFrom(node.emptyDir);
    return true;
  },
  "namespace gone": ({ removeNetns }) => removeNetns(),
  "record truncated": (pod) => edit(pod, "json", half),
  "result truncated": (pod) => edit(pod, "result.json", half),
  "clock set back": (pod) =>
    edit(
      pod,
      "json",
      changed({ time: "1999-12-31T23:59:59.000Z", uptimeMs: 1 }),
    ),
  "clock set forward": (pod) =>
    edit(
      pod,
      "json",
      changed({ time: "2099-01-01T00:00:00.000Z", uptimeMs: 1e12 }),
    ),
  // Synced files stay, of another boot; namespaces and unsynced files are gone.
  async "power loss"(pod) {
    await pod.removeNetns();
    edit(pod, "result.json", () => "");
    return edit(
      pod,
      "json",
      changed({ bootId: "11111111-2222-3333-4444-555555555555" }),
    );
  },
};

function edit(
  { node, containerId }: Disturbed,
  part: "json" | "result.json",
  change: (text: string) => string,
): boolean {
  return node.editRecord(containerId, part, change);
}

const half = (text: string) => text.slice(0, text.length / 2);

function changed(keys: Record<string, unknown>): (text: string) => string {
  return (text) => JSON.stringify({ ...(JSON.parse(text) as object), ...keys });
}
