/**
 * Records which functions the calls for a pod use, by making these calls. The
 * compiler of a release then puts their bytecode together, and a call reads less of
 * the executable (docs/performance.md). The same sources give the same profile on
 * every machine.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NoopNode, pod } from "./noop-node.ts";

/** A late delegate, on a busy machine, changes the profile. */
const tries = 10;

/**
 * Makes the calls with `genie` in the empty `directory` until two profiles in a row
 * are equal; returns the files for `bytecodeOrder`. Throws Error when a call fails.
 */
export async function recordProfile(
  genie: string,
  directory: string,
): Promise<string[]> {
  let earlier: string[] = [];
  for (let i = 0; i < tries; i++) {
    const own = join(directory, `${i}`);
    mkdirSync(own);
    const files = await record(genie, own);
    const texts = files.map((file) => readFileSync(file, "utf8"));
    if (Bun.deepEquals(texts, earlier)) return files;
    earlier = texts;
  }
  throw new Error(`failed to record ${genie}: no two profiles are the same`);
}

async function record(genie: string, directory: string): Promise<string[]> {
  using server = apiServer();
  using node = new NoopNode();
  const kubeconfig = join(directory, "kubeconfig");
  writeFileSync(kubeconfig, kubeconfigOf(server.url.origin));
  const containerId = "0123456789abcdef".repeat(4);
  const files: string[] = [];
  const call = async (name: string, command: string, config: string) => {
    const file = join(directory, `${name}.profile`);
    const child = Bun.spawn([genie], {
      cwd: "/",
      env: { ...node.env(command, containerId), BUN_BYTECODE_ORDER_OUT: file },
      stdin: Buffer.from(config),
      stderr: "pipe",
    });
    const [exitCode, stdout] = [await child.exited, await child.stdout.text()];
    if (exitCode !== 0) {
      throw new Error(
        `failed to record ${name}: exit ${exitCode}: ${stdout}${await child.stderr.text()}`,
      );
    }
    files.push(file);
  };
  // The most frequent calls first. No GET of a pod: it runs beside other work, in
  // an order that differs between two runs.
  await call("ADD", "ADD", node.withAnnotations());
  await call("DEL", "DEL", node.withoutAnnotations());
  // The runtime deletes each pod once more.
  await call("DEL-again", "DEL", node.withoutAnnotations());
  const calls = join(node.dataDir, "calls.log");
  writeFileSync(calls, "", { mode: 0o600 });
  await call("ADD-logged", "ADD", node.withAnnotations());
  await call("DEL-logged", "DEL", node.withoutAnnotations());
  rmSync(calls);
  const defined = { "k8s.v1.cni.cncf.io/networks": "one,two,three" };
  const kubernetes = { kubeconfig };
  await call(
    "ADD-defined",
    "ADD",
    node.withAnnotations({ kubernetes }, defined),
  );
  await call("DEL-defined", "DEL", node.withoutAnnotations());
  return files;
}

function kubeconfigOf(server: string): string {
  const access = {
    "current-context": "c",
    contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
    clusters: [{ name: "c", cluster: { server } }],
    users: [{ name: "u", user: { token: "t" } }],
  };
  return Bun.YAML.stringify(access, null, 2);
}

/** Serves the pod and its definitions. */
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
