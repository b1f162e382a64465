import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Finding } from "../../../lib/cli/doctor/check.ts";
import { checkMounts } from "../../../lib/cli/doctor/mounts.ts";
import { Host } from "../../../lib/cli/node/host.ts";
import { temporaryDirectory } from "../../support/delegate.ts";

describe("checkMounts", () => {
  const { promise: never } = Promise.withResolvers<unknown>();
  const hanging = (path: string): Finding => ({
    check: "mounts",
    verdict: "fail",
    found: `${path} did not respond within 0.01 s: every ADD waits for it`,
    advice: "repair or unmount its file system",
  });

  test.each([
    "/conf",
    "/bin",
    "/data",
    "/records",
    "/more/bin",
    "/log",
    "/keys",
    "/tokens",
    "/multus",
    "/multus/net.d",
    "/cache",
    "/kubelet",
    "/networks",
  ])("%s never responds: only that is said", async (path) => {
    using root = temporaryDirectory();
    mkdirSync(join(root.path, "conf"));
    const plugin = {
      type: "genie",
      confDir: "/networks",
      dataDir: "/records",
      binDir: ["/more/bin"],
      logFile: "/log/genie.log",
      kubernetes: { kubeconfig: "/tokens/kubeconfig" },
      policy: { k8s_client_key: "/keys/key" },
      multusDir: "/multus",
      multusConfDir: "/multus/net.d",
      runtimeCacheDir: "/cache",
      podResourcesSocket: "/kubelet/kubelet.sock",
    };
    writeFileSync(
      join(root.path, "conf/00-genie.conflist"),
      JSON.stringify({ cniVersion: "1.0.0", name: "x", plugins: [plugin] }),
    );
    const directories = {
      host: new Host(root.path),
      confDir: "/conf",
      binDir: "/bin",
      dataDir: "/data",
    };
    const read = (directory: string) =>
      directory === join(root.path, path) ? never : Promise.reject(new Error());
    expect(await checkMounts(directories, 10, read)).toEqual([
      hanging(join(root.path, path)),
    ]);
  });
});
