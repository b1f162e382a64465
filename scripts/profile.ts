/**
 * Which functions the calls for a pod use, recorded by making them: the compiler
 * then puts the bytecode of these together, and a pod reads less of the executable
 * (docs/performance.md). The same sources give the same profile, on every machine.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NoopNode, pod } from "./noop-node.ts";

/** A delegate that had to be waited for, on a busy machine, makes another profile. */
const tries = 10;

/**
 * Makes the calls with `genie` in `directory`, which is empty, until they are the same
 * twice; the files for `bytecodeOrder`. Throws Error when a call fails.
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
  await call("ADD", "ADD", node.withAnnotations());
  await call("DEL", "DEL", node.withoutAnnotations());
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
