/**
 * The public surface of lib/cni: a runtime and a plugin written with nothing else. The
 * plugin is executed as a process of its own for the versions with different results.
 */
import { describe, expect, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import {
  type NetworkConfigList,
  type RuntimeConf,
  CniError,
  addNetwork,
  checkNetwork,
  delNetwork,
  gcNetwork,
  parseConfList,
  statusNetwork,
  supportedVersions,
} from "../../lib/cni/index.ts";
import { Deadline } from "../../lib/linux/deadline.ts";
import { temporaryDirectory, testCaller } from "../support/delegate.ts";

const surface = resolve(import.meta.dir, "../../lib/cni/index.ts");

/** A plugin that gives a fixed address, and fails in the verb that its configuration names. */
const source = `#!${process.execPath}
import { CniError, Code, runPlugin, systemIo } from ${JSON.stringify(surface)};

const step = async ({ command, config }) => {
  if (config.fail === command) throw new CniError(Code.tryAgainLater, "busy");
};
const plugin = {
  about: "gives a fixed address",
  async add(request) {
    await step(request);
    return {
      cniVersion: "1.1.0",
      interfaces: [{ name: request.ifname, sandbox: request.netns }],
      ips: [{ interface: 0, address: "10.1.2.3/24" }],
    };
  },
  del: step,
  check: step,
  gc: step,
  status: step,
};
process.exit(await runPlugin(plugin, systemIo(process.env)));
`;

function installed() {
  const directory = temporaryDirectory();
  const path = `${directory.path}/fixed`;
  writeFileSync(path, source);
  chmodSync(path, 0o755);
  const runtime: RuntimeConf = {
    containerId: "c1",
    netns: "/run/netns/c1",
    ifname: "eth0",
    args: "",
    capabilityArgs: {},
    path: [directory.path],
  };
  return { runtime, [Symbol.dispose]: () => directory[Symbol.dispose]() };
}

function network(cniVersion: string, fail?: string): NetworkConfigList {
  const plugins = [{ type: "fixed", fail }];
  return parseConfList({ cniVersion, name: "net", plugins });
}

const deadline = () => new Deadline(30_000);

describe("a plugin by runPlugin, executed by addNetwork and the others", () => {
  test.each(supportedVersions.map((version) => [version]))(
    "%s, from ADD to DEL",
    async (version) => {
      using node = installed();
      const { runtime } = node;
      const list = network(version);
      const caller = testCaller();
      const result = await addNetwork(list, runtime, deadline(), caller);
      expect(result.cniVersion).toBe(version);
      expect(JSON.stringify(result)).toContain('"10.1.2.3/24"');
      await checkNetwork(list, runtime, result, deadline(), caller);
      await delNetwork(list, runtime, result, deadline(), caller);
      await gcNetwork(list, [], runtime.path, deadline(), caller);
      await statusNetwork(list, runtime.path, deadline(), caller);
    },
  );

  test("an error of the plugin keeps its code", async () => {
    using node = installed();
    const list = network("1.1.0", "ADD");
    const add = addNetwork(list, node.runtime, deadline(), testCaller());
    expect(await add.catch((error: unknown) => error)).toEqual(
      new CniError(11, 'plugin "fixed" failed to add eth0: busy'),
    );
  });
});
