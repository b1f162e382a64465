/**
 * The modules that the executable loads for a pod, and its system calls: a guard of
 * speed without a timer (docs/performance.md "The rules").
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { genieBinary } from "../support/build.ts";
import { systemDependencies } from "../../lib/attach/dependencies.ts";
import {
  definitionFile,
  definitionsDirectory,
  textOfDefinition,
} from "../../lib/state/cached-definition.ts";
import {
  definitionsSynced,
  statusSynced,
  syncedText,
} from "../../lib/state/synced.ts";
import { NoopNode, pod } from "../../scripts/noop-node.ts";

const genie = genieBinary();
const node = new NoopNode();
afterAll(() => node[Symbol.dispose]());

interface Ran {
  stdout: string;
  stderr: string;
}

function run(
  cmd: string[],
  command: string,
  containerId: string,
  env: Record<string, string> = {},
  input = node.withAnnotations(),
): Ran {
  const { stdout, stderr, exitCode } = Bun.spawnSync(cmd, {
    cwd: "/",
    env: { ...node.env(command, containerId), ...env },
    stdin: Buffer.from(input),
  });
  expect([exitCode, command]).toEqual([0, command]);
  return { stdout: stdout.toString(), stderr: stderr.toString() };
}

/** The engine reports on stderr which bytecode it reads and which source it compiles. */
const reporting = {
  BUN_JSC_reportBytecodeCacheDecodeTimes: "1",
  BUN_JSC_reportBytecodeCompileTimes: "1",
};

function chunksIn(report: string): string[] {
  const names = report.matchAll(
    /^BytecodeCache: decoded \/\$bunfs\/root\/(\S+)/gm,
  );
  return Array.from(names, ([, name = ""]) => name).toSorted();
}

function compiledIn(report: string): string[] {
  const lines = report.matchAll(/^Compiled (\S+) into bytecode/gm);
  return Array.from(lines, ([, name = ""]) => name);
}

/** The text of the chunk with this line, from the executable. */
function chunkWith(line: string): string {
  const file = readFileSync(genie);
  const at = file.indexOf(`\n${line}\n`);
  expect(at).toBeGreaterThan(0);
  const start = file.lastIndexOf("// @bun", at);
  return file.toString("utf8", start, file.indexOf(0, at));
}

/** The static imports of a chunk, and every module of the runtime that it names. */
function importsOf(chunk: string): string[] {
  const found = chunk.matchAll(
    /^(?:import|export)?[^\n]*?(?:from|import)\s*"([^"]+)"|["'](?:node|bun):[\w/]+["']/gm,
  );
  return Array.from(found, ([all, name]) => name ?? all);
}

/** Modules that no pod of one network needs: commands, Kubernetes, gRPC, rtnetlink, packages. */
const foreign =
  /^\/\/ (?:\S*node_modules\/|lib\/(?:cli|http|kubelet)\/|lib\/linux\/(?:pod-|net(?!ns\.)|r(?:each|oute|tnet)|nexthop)|lib\/kube\/(?!options\.ts))/m;

describe("the executable, modules loaded", () => {
  test.each([
    ["ADD", "new"],
    ["DEL", "added"],
    ["DEL", "unknown"],
  ])(
    "%s, of a container that is %s: one chunk, without foreign modules",
    (command, id) => {
      if (id === "added") run([genie], "ADD", id);
      const { stderr } = run([genie], command, id, reporting);
      const path = chunkWith("// lib/attach/plugin.ts");
      const entry = chunkWith("// genie.ts");
      // That chunk, and the entry's import() of it.
      const loaded = chunksIn(stderr).filter((name) => name !== "genie");
      expect(loaded).toHaveLength(2);
      expect(loaded.filter((name) => entry.includes(name))).toHaveLength(1);
      expect([importsOf(path), foreign.exec(path)?.[0]]).toEqual([
        [],
        undefined,
      ]);
    },
  );

  test.each(["ADD", "DEL"])(
    "%s: no source is compiled beyond those of VERSION",
    (command) => {
      const id = `compiled-${command}`;
      if (command === "DEL") run([genie], "ADD", id);
      const ofVersion = compiledIn(
        run([genie], "VERSION", id, reporting).stderr,
      );
      const { stderr } = run([genie], command, id, reporting);
      expect(compiledIn(stderr)).toEqual(ofVersion);
    },
  );

  test("ADD of definitions from the agent's cache: no source is compiled beyond those of VERSION", () => {
    const directory = join(node.dataDir, definitionsDirectory);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (const name of ["one", "two"]) {
      const config = JSON.stringify({
        cniVersion: "1.0.0",
        name,
        type: "noop",
      });
      const metadata = { namespace: pod.namespace, name, annotations: {} };
      writeFileSync(
        join(directory, definitionFile(pod.namespace, name)),
        textOfDefinition({ metadata, spec: { config } }),
        { mode: 0o600 },
      );
    }
    const synced = syncedText(systemDependencies({}));
    for (const file of [definitionsSynced, statusSynced])
      writeFileSync(join(node.dataDir, file), synced, { mode: 0o600 });
    const input = node.withAnnotations(
      {},
      { "k8s.v1.cni.cncf.io/networks": "one,two" },
    );
    const ofVersion = compiledIn(run([genie], "VERSION", "", reporting).stderr);
    const { stderr } = run([genie], "ADD", "defined", reporting, input);
    expect(compiledIn(stderr)).toEqual(ofVersion);
  });

  test("STATUS and the commands: foreign modules and more chunks are seen", () => {
    const commands = chunkWith("// lib/cli/commands.ts");
    const { stderr } = run([genie], "STATUS", "seen", reporting);
    expect(foreign.exec(commands)?.[0]).toStartWith("// lib/cli/");
    expect(chunksIn(stderr).length).toBeGreaterThan(3);
    expect(importsOf(`import"./a.js";\nvar x = require("node:fs");`)).toEqual([
      "./a.js",
      '"node:fs"',
    ]);
  });
});

/** Beyond those of VERSION, which are the start of the runtime and differ between machines. */
const storedCalls = { ADD: 106, DEL: 80 };
const margin = 1.25;

describe("the executable, system calls for a pod", () => {
  const callsOf = (command: string, id: string): number => {
    const file = join(node.directory, `${command}.trace`);
    run(["strace", "-qq", "-o", file, genie], command, id);
    return (readFileSync(file, "utf8").match(/^\w+\(/gm) ?? []).length;
  };

  const threadsOf = (command: string, id: string): number => {
    const file = join(node.directory, "threads.trace");
    run(
      ["strace", "-qq", "-e", "trace=clone3", "-o", file, genie],
      command,
      id,
    );
    return (readFileSync(file, "utf8").match(/CLONE_THREAD/g) ?? []).length;
  };

  /**
   * With 64 blocks of heap the engine starts a thread that prepares more, 0.5 ms for
   * every pod. On a busy machine a late delegate starts one too: the least of five.
   */
  test.each([
    { networks: 1, more: 0 },
    { networks: 300, more: 299 },
  ])(
    "ADD and DEL, $networks networks: no thread beyond those of VERSION",
    ({ more }) => {
      for (let i = 0; i < more; i++) node.network(`other-${i}`, ["noop"], "30");
      const counts = Array.from({ length: 5 }, (_, i) => {
        const own = threadsOf("VERSION", "");
        const [add, del] = ["ADD", "DEL"].map(
          (command) => threadsOf(command, `threads-${i}`) - own,
        );
        return { add, del };
      });
      expect(Math.min(...counts.map(({ add = 0 }) => add))).toBe(0);
      expect(Math.min(...counts.map(({ del = 0 }) => del))).toBe(0);
    },
  );

  test("ADD and DEL: at most a quarter above the stored counts, at least half of them", () => {
    const own = callsOf("VERSION", "calls");
    const calls = {
      ADD: callsOf("ADD", "calls") - own,
      DEL: callsOf("DEL", "calls") - own,
    };
    const asWritten = Object.entries(storedCalls).map(([command, stored]) => {
      const count = command === "ADD" ? calls.ADD : calls.DEL;
      return [command, count <= stored * margin && count >= stored / 2, count];
    });
    expect(asWritten).toEqual([
      ["ADD", true, calls.ADD],
      ["DEL", true, calls.DEL],
    ]);
  });
});
