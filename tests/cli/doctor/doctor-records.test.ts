/** The findings of `genie doctor` about attachment records. */
import { describe, expect, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NodeDirectory } from "../fixtures.ts";
import { diagnosed, testTroubles } from "./diagnosis.ts";

describe("doctor, the records", () => {
  testTroubles([
    [
      "left-over records",
      (node) => {
        node.record({ containerId: "c1", netns: "/nowhere" });
        node.record({ containerId: "c2", bootId: "earlier" });
        node.record({ containerId: "c3" });
      },
      ["left-over records", "warn", "2 of 3 records without a sandbox"],
    ],
    [
      "what was abandoned",
      (node) => {
        node.abandoned({ containerId: "c1" });
        node.abandoned({ containerId: "c2" });
      },
      [
        "abandoned attachments",
        "warn",
        expect.stringMatching(
          /^2 could not be deleted, as eth0 of c[12] in network canal-net: no$/,
        ),
      ],
    ],
    [
      "records that others may write",
      (node) => {
        node.record();
        chmodSync(join(node.dataDir, "attachments"), 0o777);
      },
      [
        "records",
        "fail",
        expect.stringContaining("group or others may write to it (mode 0777)"),
      ],
    ],
    [
      "an unreadable record",
      (node) => {
        node.record();
        writeFileSync(join(node.dataDir, "attachments/c9:eth0.json"), "{");
      },
      ["left-over records", "fail", "1 record cannot be read: c9:eth0"],
    ],
  ]);

  test("records of namespaces that are not seen here, are not called left over", async () => {
    using node = await NodeDirectory.installed();
    node.record({ containerId: "c1", netns: "/a", mountNamespace: "1" });
    node.record({ containerId: "c2" });
    const { findings } = await diagnosed(node);
    expect(
      findings.find(({ check }) => check === "left-over records"),
    ).toMatchObject({
      verdict: "ok",
      found: "none among 2 records; 1 cannot be seen from this mount namespace",
    });
  });
});
