/**
 * CRI-O's calls, by ocicni, its own CNI library: VERSION and STATUS before anything,
 * ADD and at once CHECK, DEL, and at its start GC with what is valid. No pod may run
 * meanwhile.
 */
import { expectEqual, expectMatch } from "../expect.ts";
import { binDir, confDir, prefixes } from "../networks.ts";
import { type Cluster, leftovers } from "../node.ts";
import type { Report } from "../report.ts";
import { run } from "../../../scripts/run.ts";
import { expectNothing } from "./pods.ts";

export async function checkCrio(
  { parts, directory }: Cluster,
  report: Report,
): Promise<void> {
  report.heading("CRI-O's calls, by its own CNI library");
  const call = (command: string, name: string, more: object = {}) =>
    run([parts("crio"), command], {
      stdin: JSON.stringify({
        confDir,
        binDir,
        cacheDir: "/var/lib/cni",
        pod: podOf(name),
        ...more,
      }),
    });
  const ip = (name: string, ...args: string[]) =>
    run(["ip", "netns", "exec", name, "ip", ...args]);

  for (const name of ["one", "two"]) await run(["ip", "netns", "add", name]);
  await report.check(
    "VERSION of every plugin is as CRI-O wants it: genie's network is the default one",
    async () => {
      const name: unknown = JSON.parse(await call("network", "one"));
      expectEqual("default network", name, "cbr0");
    },
  );
  await report.check("STATUS is ready", async () => {
    await call("status", "one");
  });
  await report.check(
    "ADD and CHECK return the default network's result only",
    async () => {
      const said = await call("add", "one");
      const [only, ...others] = (JSON.parse(said) as Added[]).flatMap(
        ({ Result }) => Result.ips,
      );
      expectEqual("other addresses", others, []);
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
      await call("gc", "two", { valid: [podOf("two")] });
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

interface Added {
  Result: { ips: { address: string }[] };
}

function podOf(name: string): object {
  return {
    name,
    id: name.repeat(8),
    netns: `/run/netns/${name}`,
    annotations: { cni: "flannel,canal" },
  };
}
