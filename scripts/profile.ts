/**
 * Which functions the calls for a pod use, recorded by making them: the compiler
 * then puts the bytecode of these together, and a pod reads less of the executable
 * (docs/performance.md). The same sources give the same profile, on every machine.
 */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const pod = { namespace: "default", name: "pod", uid: "uid" };

/** A delegate that had to be waited for, on a busy machine, makes another profile. */
const tries = 10;

/**
 * Makes the calls with `genie` in `folder`, which is empty, until they are the same
 * twice; the files for `bytecodeOrder`. Throws Error when a call fails.
 */
export async function recordProfile(
  genie: string,
  folder: string,
): Promise<string[]> {
  let earlier: string[] = [];
  for (let i = 0; i < tries; i++) {
    const own = join(folder, `${i}`);
    mkdirSync(own);
    const files = await record(genie, own);
    const texts = files.map((file) => readFileSync(file, "utf8"));
    if (Bun.deepEquals(texts, earlier)) return files;
    earlier = texts;
  }
  throw new Error(`failed to record ${genie}: no two profiles are the same`);
}

async function record(genie: string, folder: string): Promise<string[]> {
  using server = apiServer();
  const node = makeNode(folder, server.url.origin);
  const files: string[] = [];
  const call = async (name: string, command: string, config: object) => {
    const file = join(folder, `${name}.profile`);
    const child = Bun.spawn([genie], {
      cwd: "/",
      env: { ...node.env(command), BUN_BYTECODE_ORDER_OUT: file },
      stdin: Buffer.from(JSON.stringify({ ...node.config, ...config })),
      stderr: "pipe",
    });
    const [exitCode, answer] = [await child.exited, await child.stdout.text()];
    if (exitCode !== 0) {
      throw new Error(
        `failed to record ${name}: exit ${exitCode}: ${answer}${await child.stderr.text()}`,
      );
    }
    files.push(file);
  };
  // What is most common first. In which order things happen while a pod is asked
  // for differs between two runs, so the API server is asked for definitions only.
  await call("ADD", "ADD", node.given({ cni: "noop" }));
  await call("DEL", "DEL", {});
  const defined = { "k8s.v1.cni.cncf.io/networks": "one,two,three" };
  await call("ADD-defined", "ADD", node.given(defined));
  await call("DEL-defined", "DEL", {});
  return files;
}

/** A node whose only plugin answers and does nothing else. */
function makeNode(folder: string, server: string) {
  const [confDir, binDir] = [join(folder, "net.d"), join(folder, "bin")];
  const [plugin, kubeconfig] = [join(binDir, "noop"), join(folder, "config")];
  for (const path of [confDir, binDir]) mkdirSync(path);
  const result = {
    cniVersion: "1.0.0",
    interfaces: [{ name: "eth0", sandbox: "/ns" }],
    ips: [{ address: "10.0.0.2/24", interface: 0 }],
  };
  writeFileSync(plugin, `#!/bin/sh\necho '${JSON.stringify(result)}'\n`);
  chmodSync(plugin, 0o755);
  const list = {
    cniVersion: "1.0.0",
    name: "noop",
    plugins: [{ type: "noop" }],
  };
  writeFileSync(join(confDir, "10-noop.conflist"), JSON.stringify(list));
  const access = {
    "current-context": "c",
    contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
    clusters: [{ name: "c", cluster: { server } }],
    users: [{ name: "u", user: { token: "t" } }],
  };
  writeFileSync(kubeconfig, Bun.YAML.stringify(access, null, 2));
  const key = "io.kubernetes.cri.pod-annotations";
  const containerId = "0123456789abcdef".repeat(4);
  return {
    config: {
      cniVersion: "1.1.0",
      name: "genie",
      type: "genie",
      confDir,
      dataDir: join(folder, "data"),
      kubernetes: { kubeconfig },
    },
    given: (annotations: Record<string, string>) => ({
      capabilities: { [key]: true },
      runtimeConfig: { [key]: annotations },
    }),
    env: (command: string) => ({
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerId,
      CNI_NETNS: join(folder, "netns"),
      CNI_IFNAME: "eth0",
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${pod.namespace};K8S_POD_NAME=${pod.name};K8S_POD_INFRA_CONTAINER_ID=${containerId};K8S_POD_UID=${pod.uid}`,
      CNI_PATH: binDir,
    }),
  };
}

/** Answers for the pod and its definitions. */
function apiServer() {
  return Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: ({ url }) => {
      const isPod = url.includes("/pods/");
      const spec = { config: JSON.stringify({ type: "noop" }) };
      return Response.json(isPod ? { metadata: pod } : { metadata: {}, spec });
    },
  });
}
