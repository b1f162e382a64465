/**
 * What the executable really loads and asks of the kernel for a pod: a guard of
 * its speed that is no timer (docs/performance.md "The rules").
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { genieBinary } from "../support/build.ts";
import { NoopNode } from "../../scripts/noop-node.ts";

const buildMs = 60_000;
let genie: string;
beforeAll(() => {
  genie = genieBinary();
}, buildMs);

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
): Ran {
  const { stdout, stderr, exitCode } = Bun.spawnSync(cmd, {
    cwd: "/",
    env: { ...node.env(command, containerId), ...env },
    stdin: Buffer.from(node.withAnnotations()),
  });
  expect([exitCode, command]).toEqual([0, command]);
  return { stdout: stdout.toString(), stderr: stderr.toString() };
}

/** The engine's own report, on stderr: what it takes out of the executable, what it compiles all the same. */
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

function patternsIn(report: string): string[] {
  const lines = report.matchAll(/^RegExp pattern for (\/.*)/gm);
  return Array.from(lines, ([, pattern = ""]) => pattern);
}

const comment = /\/\/.*|\/\*[^]*?\*\//g;

/** The text of the chunk that has this line, as it is in the executable. */
function chunkWith(line: string): string {
  const file = readFileSync(genie);
  const at = file.indexOf(`\n${line}\n`);
  expect(at).toBeGreaterThan(0);
  const start = file.lastIndexOf("// @bun", at);
  return file.toString("utf8", start, file.indexOf(0, at));
}

/** Modules that a chunk imports before it runs, and modules of the runtime that it asks for at all. */
function importsOf(chunk: string): string[] {
  const found = chunk.matchAll(
    /^(?:import|export)?[^\n]*?(?:from|import)\s*"([^"]+)"|["'](?:node|bun):[\w/]+["']/gm,
  );
  return Array.from(found, ([all, name]) => name ?? all);
}

/** Rooms and packages that no pod needs: commands, the API server's code, gRPC, netlink, schemas. */
const foreign =
  /^\/\/ (?:\S*node_modules\/|lib\/(?:cli|kubelet)\/|lib\/linux\/(?:net(?!ns\.)|r(?:each|oute|tnet)|nexthop)|lib\/kube\/(?!options\.ts))/m;

describe("the executable, what a pod loads", () => {
  test.each(["ADD", "DEL"])(
    "%s: one chunk, in which nothing is that a pod does not need",
    (command) => {
      const id = `loaded-${command}`;
      if (command === "DEL") run([genie], "ADD", id);
      const { stderr } = run([genie], command, id, reporting);
      const path = chunkWith("// lib/attach/main.ts");
      const entry = chunkWith("// genie.ts");
      // One of the entry's import()s, which passes on a name of what every pod executes.
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
    "%s: what it executes is bytecode, built-ins that are JavaScript included",
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

  test.each(["ADD", "DEL"])(
    "%s: the engine's regular expressions and Math are not started",
    (command) => {
      const id = `started-${command}`;
      if (command === "DEL") run([genie], "ADD", id);
      const { stderr, stdout } = run([genie], command, id, {
        BUN_JSC_dumpCompiledRegExpPatterns: "1",
      });
      expect(patternsIn(stdout + stderr)).toEqual([]);
      const code = chunkWith("// lib/attach/main.ts").replaceAll(comment, "");
      expect(code.match(/\b(?:Math|Reflect)\.\w+/)?.[0]).toBeUndefined();
    },
  );

  test("the guard sees what it is to see", () => {
    const commands = chunkWith("// lib/cli/commands.ts");
    const { stderr } = run([genie], "STATUS", "seen", reporting);
    expect(foreign.exec(commands)?.[0]).toStartWith("// lib/cli/");
    expect(chunksIn(stderr).length).toBeGreaterThan(3);
    const odd = Bun.spawnSync([genie], {
      env: {
        ...node.env("ADD", "seen"),
        CNI_IFNAME: "eth0 ",
        BUN_JSC_dumpCompiledRegExpPatterns: "1",
      },
    });
    const report = odd.stdout.toString() + odd.stderr.toString();
    expect(patternsIn(report)).toHaveLength(1);
    expect(importsOf(`import"./a.js";\nvar x = require("node:fs");`)).toEqual([
      "./a.js",
      '"node:fs"',
    ]);
  });
});

/**
 * Of the process itself, beyond those of VERSION, which are the runtime's own start
 * and differ between machines. Whoever needs more changes the figure and says why.
 */
const storedCalls = { ADD: 125, DEL: 86 };
const margin = 1.1;

describe("the executable, system calls for a pod", () => {
  const callsOf = (command: string, id: string): number => {
    const file = join(node.directory, `${command}.trace`);
    run(["strace", "-qq", "-o", file, genie], command, id);
    return (readFileSync(file, "utf8").match(/^\w+\(/gm) ?? []).length;
  };

  test("no more than are written down, and not far fewer", () => {
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
