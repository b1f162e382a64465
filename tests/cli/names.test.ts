/**
 * The names of a network: an operator types the file key (`flannel`), the name in the
 * file is `cbr0`. Errors and lists of the compiled executable show the typed one.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { genieBinary } from "../support/build.ts";
import { Node } from "../support/node.ts";

// Longer than a compilation takes.
beforeAll(() => void genieBinary(), 120_000);

async function startFlannelNode(): Promise<Node> {
  const node = await Node.start();
  node.network("10-flannel.conflist", {
    cniVersion: "1.0.0",
    name: "cbr0",
    plugins: [{ type: "ptp", ipam: node.ipam("10.66.0.0/24") }],
  });
  node.network("20-weave.conflist", {
    cniVersion: "1.0.0",
    name: "weave-net",
    plugins: [{ type: "ptp", ipam: node.ipam("10.67.0.0/24") }],
  });
  return node;
}

/** The column NETWORK, and CNI NAME where it is shown. */
function listed(node: Node, ...words: string[]): unknown {
  const { stdout } = node.command("list", "-o=json", ...words);
  const rows = JSON.parse(stdout) as Record<string, string>[];
  return rows.map(({ ifname, network, cniName }) => [ifname, network, cniName]);
}

describe("a network whose file key is not its name", () => {
  test.each<[annotations: Record<string, string>, expected: string[][]]>([
    [
      { cni: "flannel,weave@net1" },
      [
        ["eth0", "flannel", "cbr0"],
        ["net1", "weave", "weave-net"],
      ],
    ],
    [{}, [["eth0", "flannel", "cbr0"]]],
    [{ cni: "cbr0" }, [["eth0", "cbr0", "cbr0"]]],
  ])(
    "%j, genie list shows the name that was typed",
    async (annotations, expected) => {
      await using node = await startFlannelNode();
      const pod = await node.pod();
      await node.succeed("ADD", pod, { annotations });
      expect(listed(node)).toEqual(expected);
      await node.succeed("DEL", pod, { annotations });
    },
  );

  test("an error of ADD, CHECK and DEL, shows the name that was typed", async () => {
    await using node = await startFlannelNode();
    const annotations = { cni: "flannel" };
    const prefix = "[shop/web:flannel] ";
    const pod = await node.pod();
    await node.succeed("ADD", pod, { annotations });
    node.plugin(
      "ptp",
      `#!/bin/sh\necho '{"code":100,"msg":"no luck"}'\nexit 1\n`,
    );
    for (const verb of ["CHECK", "DEL"] as const)
      expect((await node.fail(verb, pod, { annotations })).msg).toStartWith(
        prefix,
      );
    const other = await node.pod();
    const { msg } = await node.fail("ADD", other, { annotations });
    expect(msg).toStartWith(prefix);
  });

  test("genie list, a record of 0.1.0, the CNI name", async () => {
    await using node = await startFlannelNode();
    const pod = await node.pod();
    await node.succeed("ADD", pod, { annotations: { cni: "flannel" } });
    const text = JSON.stringify(node.record(pod));
    expect(text).toContain('"requested":"flannel"');
    await Bun.write(
      node.recordPath(pod),
      text.replace(',"requested":"flannel"', ""),
    );
    expect(listed(node)).toEqual([["eth0", "cbr0", "cbr0"]]);
    await node.succeed("DEL", pod);
  });
});
