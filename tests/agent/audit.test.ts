/** agent.md "Audit". Findings of pods with records: tests/integration/audit.test.ts. */
import type { V1Pod } from "@kubernetes/client-node";
import { describe, expect, test } from "bun:test";
import type { Agent } from "../../lib/agent/part.ts";
import { tellFindings } from "../../lib/agent/report/audit-events.ts";
import {
  type Finding,
  asksForNetworks,
  auditPods,
} from "../../lib/agent/report/audit.ts";
import { contextOf } from "../support/context.ts";
import { temporaryDirectory } from "../support/delegate.ts";

describe("auditPods", () => {
  const finding: Finding = {
    namespace: "shop",
    name: "web",
    uid: "u",
    finding: "past-genie",
    networks: ["a", "b"],
    controller: "ReplicaSet/web-1",
  };
  test.each<[string, string, Finding[]]>([
    ["its sandbox is there", "True", [finding]],
    ["its sandbox is not there yet, after a restart of the node", "False", []],
  ])("a running pod without a record, %s", async (_, status, expected) => {
    using directory = temporaryDirectory();
    const dataDir = `${directory.path}/data`;
    const context = contextOf({
      command: "STATUS",
      config: { name: "genie", type: "genie", dataDir },
    });
    const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", uid: "r" };
    const pod: V1Pod = {
      metadata: {
        namespace: "shop",
        name: "web",
        uid: "u",
        annotations: { cni: "a,b" },
        ownerReferences: [{ ...owner, name: "web-1", controller: true }],
      },
      status: {
        phase: "Running",
        conditions: [
          { type: "Ready", status: "False" },
          { type: "PodReadyToStartContainers", status },
        ],
      },
    };
    const audit = await auditPods([pod], context, (path) => path);
    expect(audit.findings).toEqual(expected);
  });
});

describe("tellFindings", () => {
  test("told by the second audit that has it; nothing of a pod in order, or that ended", async () => {
    using directory = temporaryDirectory();
    const dataDir = `${directory.path}/data`;
    const config = { name: "genie", type: "genie", dataDir };
    const stop = new AbortController();
    const pod = (name: string, annotations: object, phase = "Running") => ({
      metadata: { namespace: "shop", name, uid: name, annotations },
      status: { phase },
    });
    const misspelt = { "cni.io": "a" };
    const pods = [
      pod("ended", misspelt, "Succeeded"),
      pod("in-order", {}),
      pod("misspelt", misspelt),
    ];
    const told: string[] = [];
    let audits = 0;
    const agent = {
      context: contextOf({ command: "STATUS", config }),
      place: (path: string) => path,
      pods: () => ({
        listed: Promise.resolve(),
        list: () => (audits++, pods),
      }),
      log: () => {},
      event({ name }: { name?: string }, _: string, reason: string) {
        told.push(`${audits}: ${reason} of ${name}`);
        stop.abort();
      },
    };
    await tellFindings(agent as unknown as Agent, stop.signal);
    expect(told).toEqual(["2: MisspeltAnnotation of misspelt"]);
  });
});

describe("asksForNetworks", () => {
  const automatic = { by: "pods" } as const;
  test.each([
    [{}, true, false],
    [{ cni: "a" }, false, true],
    [{ cni: "default" }, true, false],
    [{ cni: "" }, false, false],
    [{ cni: "" }, true, true],
  ])(
    "annotations %j, with an automatic choice %p: %p",
    (annotations, has, expected) => {
      const config = has ? { automatic } : {};
      const pod = { metadata: { annotations } };
      expect(asksForNetworks(pod, config as never)).toBe(expected);
    },
  );
});
