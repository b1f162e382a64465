/**
 * The executable as odd runtimes and hardened nodes start it (state.md "Processes
 * and locks"): signals ignored, limits set, system calls refused, an environment
 * that is not UTF-8.
 */
import { afterAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { genieBinary } from "../support/build.ts";
import {
  denying,
  denyingExecutableMemory,
  ignoringChildren,
  withVariables,
} from "../support/restricted.ts";
import { onlyValue, run } from "../support/runtime.ts";
import { NoopNode } from "../../scripts/noop-node.ts";

const genie = genieBinary();
const node = new NoopNode();
afterAll(() => node[Symbol.dispose]());

/** A file about the plugin's own process. */
const seen = (file: string) => join(node.directory, file);
node.plugin(
  "noop",
  `#!/bin/sh
cat /proc/$$/environ >${seen("environ")}
(ulimit -Sn; ulimit -Hn) >${seen("limits")}
while read -r line || [ -n "$line" ]; do :; done
echo "words" >&2
[ "$CNI_COMMAND" != ADD ] || printf '{"cniVersion":"1.0.0","ips":[{"address":"10.1.2.3/24"}]}'
`,
);

const added = { cniVersion: "1.1.0", ips: [{ address: "10.1.2.3/24" }] };

let calls = 0;

/** Calls it, started by that command. */
async function call(verb: string, cmd: string[]) {
  const env = node.env(verb, `c${calls++}`);
  const { exitCode, stdout, stderr } = await run(cmd, {
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdin: node.withAnnotations(),
  });
  return { exitCode, json: onlyValue(stdout), stderr };
}

describe("the executable, ADD and DEL succeed", () => {
  test.each<[string, (cmd: string[]) => string[]]>([
    ["with SIGCHLD ignored", ignoringChildren],
    [
      "without memfd_create (ENOSYS)",
      (cmd) => denying("memfd_create", "ENOSYS", cmd),
    ],
    [
      "with memfd_create denied (EPERM)",
      (cmd) => denying("memfd_create", "EPERM", cmd),
    ],
    [
      "with variables that are not UTF-8",
      (cmd) => withVariables({ A: String.raw`\xff` }, cmd),
    ],
  ])("%s", async (_, started) => {
    rmSync(node.dataDir, { recursive: true, force: true });
    const cmd = started([genie]);
    expect(await call("ADD", cmd)).toEqual({
      exitCode: 0,
      json: added,
      stderr: "words\n",
    });
    calls--;
    expect(await call("DEL", cmd)).toEqual({
      exitCode: 0,
      json: undefined,
      stderr: "words\n",
    });
    const left = readdirSync(node.dataDir, { recursive: true }).map(String);
    expect(left.toSorted()).toEqual(["attachments", "locks"]);
  });

  test.each(["ENOSYS", "EPERM"] as const)(
    "a chain without pidfd_open (%s): the end of each plugin is seen",
    async (errno) => {
      node.network("noop", ["noop", "noop"], "10");
      const cmd = denying("pidfd_open", errno, [genie]);
      const stderr = "words\nwords\n";
      const result = await call("ADD", cmd);
      expect(result).toEqual({ exitCode: 0, json: added, stderr });
      calls--;
      expect(await call("DEL", cmd)).toMatchObject({ exitCode: 0, stderr });
      node.network("noop", ["noop"], "10");
    },
  );

  test("STATUS without memfd_create makes the data directory", async () => {
    rmSync(node.dataDir, { recursive: true, force: true });
    const file = join(node.directory, "net.d/05-latest.conf");
    const latest = { cniVersion: "1.1.0", name: "latest", type: "noop" };
    writeFileSync(file, JSON.stringify(latest));
    const cmd = denying("memfd_create", "ENOSYS", [genie]);
    expect(await call("STATUS", cmd)).toMatchObject({ exitCode: 0 });
    rmSync(file);
    expect(readdirSync(node.dataDir).toSorted()).toEqual([
      "attachments",
      "locks",
    ]);
  });
});

test.skipIf(process.arch !== "x64").each<["EAGAIN" | "ENOMEM", string]>([
  ["EAGAIN", "resource temporarily unavailable"],
  ["ENOMEM", "cannot allocate memory"],
])("the executable, %s at the start of a plugin: 11", async (errno, text) => {
  const { json } = await call("ADD", denying("vfork", errno, [genie]));
  expect(json).toMatchObject({
    code: 11,
    msg: expect.stringMatching(
      RegExp(
        `failed to execute .*/noop: the node has no room for another process: ${text}$`,
      ),
    ) as string,
  });
});

test("the executable, variables that are not UTF-8 reach the delegate as they are", async () => {
  const variables = {
    A: String.raw`x\xffy`,
    [String.raw`N\xfe`]: "v",
    U: String.raw`\xc3\xa9`,
  };
  await call("ADD", withVariables(variables, [genie]));
  const environ = readFileSync(seen("environ"), "latin1").split("\0");
  for (const entry of [
    "A=x\xffy",
    "N\xfe=v",
    "U=\xc3\xa9",
    "CNI_COMMAND=ADD",
    `CNI_PATH=${node.binDir}`,
  ]) {
    expect(environ).toContain(entry);
  }
  const names = environ.map((entry) => entry.split("=")[0]);
  expect(names).toHaveLength(new Set(names).size);
});

test("the executable, delegates have the limit on open files that it was started with", async () => {
  await call("ADD", ["/bin/sh", "-c", 'ulimit -Sn 777; exec "$0"', genie]);
  const hard = Bun.spawnSync(["/bin/sh", "-c", "ulimit -Hn"]).stdout.toString();
  expect(readFileSync(seen("limits"), "utf8")).toBe(`777\n${hard}`);
});

test("the executable, records have mode 0600 whatever the umask", async () => {
  rmSync(node.dataDir, { recursive: true, force: true });
  await call("ADD", ["/bin/sh", "-c", 'umask 777; exec "$0"', genie]);
  const directory = join(node.dataDir, "attachments");
  const files = readdirSync(directory).map((name) => join(directory, name));
  const modes = files.map((file) => statSync(file).mode & 0o777);
  expect(modes).toEqual([0o600, 0o600]);
});

test("the executable, no descriptor left for a lock or a delegate: 11, for the record: 5", async () => {
  const found = new Set<string>();
  for (let limit = 5; limit <= 12; limit++) {
    const cmd = ["/bin/sh", "-c", `ulimit -n ${limit}; exec "$0"`, genie];
    const { json } = await call("ADD", cmd);
    const { code, msg = "" } = json as { code?: number; msg?: string };
    // The plugin was started, and is short of them itself.
    if (code === undefined || msg.includes("netplugin failed")) break;
    const [action] = /failed to (open lock|write|execute)/.exec(msg) ?? [msg];
    found.add(`${code} ${action}`);
  }
  expect([...found]).toEqual([
    "11 failed to open lock",
    "5 failed to write",
    "11 failed to execute",
  ]);
});

describe("the executable, no executable memory", () => {
  const cmd = () => denyingExecutableMemory([genie]);
  // PR_SET_MDWE is of Linux 6.3.
  const probe = Bun.spawnSync(denyingExecutableMemory(["/bin/true"]));

  test
    .skipIf(probe.exitCode !== 0)
    .each(["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"])(
    "%s is one JSON error that says so",
    async (verb) => {
      rmSync(seen("environ"), { force: true });
      const { exitCode, json } = await call(verb, cmd());
      expect({ exitCode, json }).toEqual({
        exitCode: 1,
        json: {
          cniVersion: "1.1.0",
          code: 999,
          msg: expect.stringMatching(
            /failed to get executable memory: .*SELinux deny_execmem, MemoryDenyWriteExecute/,
          ),
        },
      });
      expect(existsSync(seen("environ"))).toBe(false);
    },
  );

  test("a limit of the address space, ADD: one JSON error that names it", async () => {
    const limited = ["/bin/sh", "-c", 'ulimit -v 1000000; exec "$0"', genie];
    expect(await call("ADD", limited)).toMatchObject({
      exitCode: 1,
      json: { code: 999, msg: expect.stringContaining("LimitAS") },
    });
  });
});
