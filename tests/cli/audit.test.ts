/** `genie audit`, its input. Its findings: tests/integration/audit.test.ts. */
import { describe, expect, test } from "bun:test";
import { startApiServer } from "../support/api-server.ts";
import { NodeDirectory } from "./fixtures.ts";

describe("audit", () => {
  test.each([
    ["", "no object is in it"],
    ["null", "no object is in it"],
    ["no items found", "no object is in it"],
    ['{"kind":"Node"}', "no pod and no list of pods is in it"],
    ["{}", "not a pod: metadata: expected an object, got nothing"],
    [
      '{"kind":"PodList","items":{"metadata":{"name":"a"}}}',
      "items: expected an array, got an object",
    ],
    ['{"items":"a"}', "items: expected an array, got a string"],
    ['{"items":[1]}', "items.0: expected an object, got the number 1"],
    ['{"kind":"NodeList","items":[{}]}', "no pod and no list of pods is in it"],
    [
      '{"kind":"List","items":[{"kind":"Node"}]}',
      "no pod and no list of pods is in it",
    ],
  ])("%j in place of pods, is not all in order", async (text, problem) => {
    using node = new NodeDirectory();
    const file = node.write("pods.json", text);
    expect(await node.type("audit", ["-f", file])).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: `genie audit: ${file}: ${problem}\n`,
    });
  });

  test.each(["[]", "null"])(
    "a list without pods, %s, nothing is found",
    async (items) => {
      using node = new NodeDirectory();
      const text = `{"kind":"PodList","items":${items}}`;
      const file = node.write("pods.json", text);
      expect(await node.type("audit", ["-f", file])).toEqual({
        exitCode: 0,
        stdout: "0 pods, nothing found\n",
        stderr: "",
      });
    },
  );

  test("a manifest without namespace, is one of default", async () => {
    using node = new NodeDirectory();
    const pod = { metadata: { name: "a", annotations: { cni: "x" } } };
    const file = node.write("pods.json", JSON.stringify(pod));
    const { stdout } = await node.type("audit", ["-f", file, "-n=default"]);
    expect(stdout).toMatch(/^default +a +past-genie +x/m);
  });

  test("a node that the API server does not know, is named", async () => {
    using node = new NodeDirectory();
    await using api = await startApiServer();
    const words = [`--kubeconfig=${api.kubeconfig()}`, "--node=nowhere"];
    expect(await node.type("audit", words)).toEqual({
      exitCode: 0,
      stdout: "0 pods, nothing found\n",
      stderr:
        'genie audit: the API server has no pod of node "nowhere": is --node its name?\n',
    });
  });
});
