/** `--load`: bytes per second over the host ends of each network's attachments (selection.md §10). */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LoadSampler } from "../../lib/agent/metrics/load.ts";
import type { Result } from "../../lib/cni/result.ts";
import { record } from "../cli/fixtures.ts";
import { attachmentOf, bootId, resultsOf } from "../support/records.ts";
import { contextOf } from "../support/context.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "genie-load-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Sets the counters of an interface below our sysfs. */
function count(ifname: string, received: number, sent: number): void {
  const statistics = join(directory, "sys/class/net", ifname, "statistics");
  mkdirSync(statistics, { recursive: true });
  writeFileSync(join(statistics, "rx_bytes"), `${received}\n`);
  writeFileSync(join(statistics, "tx_bytes"), `${sent}\n`);
}

const resultOf = (...hosts: string[]): Result => ({
  cniVersion: "1.0.0",
  interfaces: [
    ...hosts.map((name) => ({ name })),
    { name: "eth0", sandbox: "/run/netns/a" },
  ],
  ips: [],
});

function start() {
  let uptimeMs = 1000;
  const dataDir = join(directory, "data");
  const context = contextOf(
    { command: "GC", config: { name: "genie", type: "genie", dataDir } },
    { uptimeMs: () => uptimeMs },
  );
  const attach = (containerId: string, network: string, ...hosts: string[]) => {
    const one = attachmentOf(network, "eth0");
    const made = {
      ...record(),
      containerId,
      bootId,
      attachments: [one],
    };
    context.records.write(made).close();
    context.records.writeResults(made, resultsOf(made, [resultOf(...hosts)]));
    return made;
  };
  return {
    context,
    attach,
    sampler: new LoadSampler(context, join(directory, "sys")),
    pass: (ms: number) => void (uptimeMs += ms),
  };
}

describe("LoadSampler", () => {
  test("next, the rate of each network since the sample before", async () => {
    const { attach, sampler, pass, context } = start();
    attach("a", "canal", "veth1");
    attach("b", "canal", "veth2");
    attach("c", "weave", "veth3");
    for (const ifname of ["veth1", "veth2", "veth3"]) count(ifname, 1000, 500);
    expect(await sampler.next()).toBeUndefined();
    pass(10_000);
    count("veth1", 3000, 500);
    count("veth2", 1000, 5500);
    expect(await sampler.next()).toEqual({
      bootId: context.dependencies.bootId(),
      uptimeMs: 11_000,
      bytesPerSecond: { canal: 700, weave: 0 },
    });
  });

  test("next, a bridge is shared and not counted; an interface that went neither", async () => {
    const { attach, sampler, pass } = start();
    attach("a", "canal", "br0", "veth1", "gone");
    count("br0", 0, 0);
    mkdirSync(join(directory, "sys/class/net/br0/bridge"));
    count("veth1", 0, 0);
    await sampler.next();
    pass(1000);
    count("br0", 1e6, 1e6);
    count("veth1", 10, 0);
    expect((await sampler.next())?.bytesPerSecond).toEqual({ canal: 10 });
  });

  test("next, a pod that came counts from 0, one that went no more", async () => {
    const { attach, sampler, pass, context } = start();
    const first = attach("a", "canal", "veth1");
    count("veth1", 100, 0);
    await sampler.next();
    attach("b", "weave", "veth2");
    count("veth2", 50, 50);
    context.records.remove(first);
    pass(1000);
    expect((await sampler.next())?.bytesPerSecond).toEqual({ weave: 100 });
  });

  test("next, counters that began again are no negative rate", async () => {
    const { attach, sampler, pass } = start();
    attach("a", "canal", "veth1");
    count("veth1", 1000, 0);
    await sampler.next();
    count("veth1", 10, 0);
    pass(1000);
    expect((await sampler.next())?.bytesPerSecond).toEqual({ canal: 0 });
  });
});
