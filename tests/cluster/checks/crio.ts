/**
 * CRI-O's order of calls, by the libcni that it uses: VERSION and STATUS before
 * anything, ADD and at once CHECK, DEL, and at its start GC with what is valid.
 * No pod may run meanwhile.
 */
import { expectEqual, expectMatch } from "../expect.ts";
import { binDir, confDir, prefixes } from "../networks.ts";
import { type Cluster, leftovers } from "../node.ts";
import type { Report } from "../report.ts";
import { run } from "../../../scripts/run.ts";
import { expectNothing } from "./pods.ts";

const annotations = {
  "io.kubernetes.cri.pod-annotations": { cni: "flannel,canal" },
};

export async function checkCrio(
  { parts, directory }: Cluster,
  report: Report,
): Promise<void> {
  report.heading("CRI-O's order, by libcni");
  const call = (command: string, name: string, more: object = {}) =>
    run([parts("crio"), command], {
      stdin: JSON.stringify({
        confDir,
        binDir,
        cacheDir: "/var/lib/cni",
        network: "cbr0",
        containerID: name.repeat(8),
        netns: `/run/netns/${name}`,
        args: [
          ["IgnoreUnknown", "1"],
          ["K8S_POD_NAMESPACE", "default"],
          ["K8S_POD_NAME", name],
        ],
        capabilities: annotations,
        ...more,
      }),
    });
  const ip = (name: string, ...args: string[]) =>
    run(["ip", "netns", "exec", name, "ip", ...args]);

  for (const name of ["one", "two"]) await run(["ip", "netns", "add", name]);
  await report.check("VERSION of every plugin is as CRI-O wants it", () =>
    call("version", "one"),
  );
  await report.check("STATUS is ready", async () => {
    await call("status", "one");
  });
  await report.check(
    "ADD returns the default network's result only",
    async () => {
      const said = await call("add", "one");
      const { ips } = JSON.parse(said) as { ips: { address: string }[] };
      expectEqual("addresses", ips.length, 1);
      const [only] = ips;
      expectEqual("network", only?.address.startsWith(prefixes.flannel), true);
      return said;
    },
  );
  await report.check(
    "CHECK at once finds both interfaces as they were made",
    async () => {
      await call("check", "one");
      const said = await ip("one", "-o", "-4", "address");
      expectMatch("interfaces", said, /eth0[\s\S]*eth1/);
      return said;
    },
  );
  await report.check(
    "CHECK tells when an interface has lost its address",
    async () => {
      await ip("one", "address", "flush", "dev", "eth1");
      const failure = await call("check", "one").then(
        () => undefined,
        (error: unknown) => String(error),
      );
      if (failure === undefined) throw new Error("CHECK succeeded");
      return failure;
    },
  );
  await report.check(
    "GC deletes what is not valid any more, and only that",
    async () => {
      await call("add", "two");
      await run(["ip", "netns", "delete", "one"]);
      const valid = [{ containerID: "two".repeat(8), ifname: "eth0" }];
      await call("gc", "two", { valid });
      const { records, leases } = await leftovers(directory);
      expectEqual(
        "containers",
        records.map((name) => name.split(":")[0]),
        ["two".repeat(8), "two".repeat(8)],
      );
      expectEqual("leases", leases.length, 2);
      await call("check", "two");
      return records.join("\n");
    },
  );
  await report.check("DEL leaves nothing in the namespace", async () => {
    await call("del", "two");
    expectEqual(
      "interfaces",
      (await ip("two", "-o", "link")).includes("eth"),
      false,
    );
    await run(["ip", "netns", "delete", "two"]);
    await expectNothing(directory);
  });
}
