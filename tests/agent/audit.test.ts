/** agent.md "Audit". Findings of pods with records: tests/integration/audit.test.ts. */
import { describe, expect, test } from "bun:test";
import { asksForNetworks, auditPods } from "../../lib/agent/report/audit.ts";
import { contextOf } from "../support/context.ts";
import { temporaryDirectory } from "../support/delegate.ts";

describe("auditPods", () => {
  test.each([
    ["its sandbox is there", "True", 1],
    ["its sandbox is not there yet, after a restart of the node", "False", 0],
  ])("a running pod without a record, %s", async (_, status, count) => {
    using directory = temporaryDirectory();
    const context = contextOf({
      command: "STATUS",
      config: {
        name: "genie",
        type: "genie",
        dataDir: `${directory.path}/data`,
      },
    });
    const conditions = [
      { type: "Ready", status: "False" },
      { type: "PodReadyToStartContainers", status },
    ];
    const metadata = { name: "web", annotations: { cni: "a,b" } };
    const pod = { metadata, status: { phase: "Running", conditions } };
    const audit = await auditPods([pod], context, (path) => path);
    expect([audit.pods, audit.findings.length]).toEqual([count, count]);
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
