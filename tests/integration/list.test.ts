/** `genie list` of real pods: host ends, traffic, --watch (by the compiled executable). */
import { describe, expect, test } from "bun:test";
import { genieBinary } from "../support/build.ts";
import { until } from "../support/delegate.ts";
import { startNode } from "../support/scripted-node.ts";
import { directoryOptions } from "../support/node.ts";

interface Row {
  ifname: string;
  hostInterface?: string;
  bytesIn?: number;
  bytesOut?: number;
  sandbox: string;
}

describe("genie list", () => {
  test("host interface and bytes of each attachment; -o yaml; --watch prints what changes", async () => {
    await using node = await startNode();
    const pod = await node.pod();
    const annotations = { cni: "canal,weave" };
    const child = Bun.spawn({
      cmd: [
        genieBinary(),
        "list",
        "--watch",
        "-o=json",
        ...directoryOptions(node),
      ],
      stdout: "pipe",
    });
    let watched = "";
    const reading = (async () => {
      for await (const chunk of child.stdout)
        watched += new TextDecoder().decode(chunk);
    })();
    const seen = () =>
      [...watched.matchAll(/"(ifname|sandbox)": "(.*)"/g)].map(
        ([, , value]) => value,
      );
    await node.succeed("ADD", pod, { annotations });
    await until(() => watched.includes("bytesOut"), "the rows of the pod");
    await pod.netns.run("ping", "-c", "1", "-W", "2", "10.66.0.1");
    // The host ends are in the namespace that plays the node's.
    const listed = node.commandBy(
      ["ip", "netns", "exec", node.netns.name],
      "list",
      "-o",
      "json",
      "-A",
    );
    const rows = JSON.parse(listed.stdout) as Row[];
    expect(rows.map(({ ifname, sandbox }) => [ifname, sandbox])).toEqual([
      ["eth0", "live"],
      ["eth1", "live"],
    ]);
    for (const row of rows) {
      expect(row.hostInterface).toMatch(/^veth/);
      expect(row.bytesOut).toBeGreaterThan(0);
    }
    expect(rows[0]?.bytesIn).toBeGreaterThan(80);
    const { stdout } = node.command("list", "-o", "yaml", "-n", "shop");
    expect(stdout).toMatch(/^ {2}time: "[\d-]+T/m);
    // Their indexes here are those of other interfaces.
    expect(stdout).not.toContain("hostInterface");
    expect(Bun.YAML.parse(stdout)).toMatchObject([
      { ifname: "eth0", bytesIn: expect.any(Number) },
      { ifname: "eth1" },
    ]);
    await node.succeed("DEL", pod, { annotations });
    await until(
      () => watched.includes('"deleted"'),
      "the rows of the pod that went",
    );
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    await reading;
    expect(seen().slice(0, 4)).toEqual(["eth0", "live", "eth1", "live"]);
    expect(seen().slice(-4)).toEqual(["eth0", "deleted", "eth1", "deleted"]);
  }, 60_000);

  test.each([
    [
      ["-n", "shop", "-A"],
      "--namespace and --all-namespaces exclude each other",
    ],
    [["--watch", "--abandoned"], "--watch and --abandoned exclude each other"],
  ])("%j: usage error", async (words, message) => {
    await using node = await startNode();
    const { exitCode, stderr } = node.command("list", ...words);
    expect([exitCode, stderr.split("\n")[0]]).toEqual([
      2,
      `genie list: ${message}`,
    ]);
  });
});
