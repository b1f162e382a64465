/** The gRPC client inside an executable, made with the flags of the real one. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { compile } from "../../scripts/compile.ts";
import { readElfHeader } from "../../lib/linux/elf.ts";
import { targetFor } from "../../scripts/targets.ts";
import { getDisabled, otherPods, startKubelet } from "../support/kubelet.ts";

const root = resolve(import.meta.dir, "../..");

/** No process.exit(): it ends only when the client leaves nothing open. */
const program = `
import { Deadline } from "${root}/lib/linux/deadline.ts";
const [socket, budget = 5000] = process.argv.slice(2);
if (socket) {
  const { podContainers } = await import("${root}/lib/kubelet/podresources.ts");
  const answer = await podContainers(
    { namespace: "shop", name: "web" },
    { socket, deadline: new Deadline(Number(budget)) },
  ).then(
    (containers) => containers.flatMap(({ devices }) => devices.map((one) => [one.resourceName, one.deviceIds])),
    ({ code, message }) => ({ code, message }),
  );
  await Bun.write(Bun.stdout, JSON.stringify(answer));
}
`;

const directory = mkdtempSync(join(tmpdir(), "compiled-"));
const binary = join(directory, "program");

beforeAll(async () => {
  const entry = join(directory, "program.ts");
  await Bun.write(entry, program);
  await compile({
    entry,
    outfile: binary,
    target: targetFor(await readElfHeader(process.execPath)).bun,
    runtime: process.execPath,
    constants: {},
  });
});

afterAll(() => rmSync(directory, { recursive: true }));

async function run(...args: string[]) {
  const child = Bun.spawn([binary, ...args], {
    cwd: directory,
    env: {},
    stdout: "pipe",
    stderr: "pipe",
    timeout: 20_000,
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  return { stdout, stderr, exitCode };
}

describe("podContainers, compiled", () => {
  test("Get, the pod's devices", async () => {
    await using kubelet = await startKubelet([
      {
        namespace: "shop",
        name: "web",
        containers: [[["intel.com/sriov", "0000:03:02.0", "0000:03:02.1"]]],
      },
    ]);
    expect(await run(kubelet.socket)).toEqual({
      stdout: '[["intel.com/sriov",["0000:03:02.0","0000:03:02.1"]]]',
      stderr: "",
      exitCode: 0,
    });
  });

  test("List of 10 MiB after a disabled Get", async () => {
    await using kubelet = await startKubelet([
      ...otherPods(10),
      { namespace: "shop", name: "web", containers: [[["x/y", "1"]]] },
    ]);
    kubelet.inject(getDisabled);
    expect(await run(kubelet.socket)).toEqual({
      stdout: '[["x/y",["1"]]]',
      stderr: "",
      exitCode: 0,
    });
    expect(kubelet.calls).toEqual(["Get shop/web", "List"]);
  });

  test("no socket, error 11", async () => {
    const socket = join(directory, "none.sock");
    expect(await run(socket, "250")).toEqual({
      stdout: JSON.stringify({
        code: 11,
        message: `failed to get devices of pod "shop/web" from kubelet at "${socket}": no such socket`,
      }),
      stderr: "",
      exitCode: 0,
    });
  });

  test("no answer, error 11 and nothing left open", async () => {
    await using kubelet = await startKubelet();
    kubelet.inject({ method: "Get", kind: "hang" });
    expect(await run(kubelet.socket, "250")).toEqual({
      stdout: JSON.stringify({
        code: 11,
        message: `failed to get devices of pod "shop/web" from kubelet at "${kubelet.socket}": no response in time`,
      }),
      stderr: "",
      exitCode: 0,
    });
  });

  test("without devices, nothing is loaded that fails", async () => {
    expect(await run()).toEqual({ stdout: "", stderr: "", exitCode: 0 });
  });
});
