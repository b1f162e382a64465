/**
 * state.md "Processes and locks": an environment that is not UTF-8 reaches the
 * delegate as it is, and everything else of its execution stays the same. In a
 * process of its own, because the environment of this one is what it is.
 */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "bun:test";
import { temporaryDirectory } from "../support/delegate.ts";
import { withVariables } from "../support/restricted.ts";

const exec = resolve(import.meta.dir, "../../lib/linux/exec.ts");

/** By name; not UTF-8 are A and the name N. */
const variables = {
  A: String.raw`x\xffy`,
  "N\\xfe": "v",
  U: String.raw`\xc3\xa9`,
};

/** The output of a shell script by execDelegate, in an environment that is not UTF-8. */
async function execute(
  directory: string,
  script: string,
  request: Record<string, unknown> = {},
) {
  const path = join(directory, "plugin");
  writeFileSync(path, script);
  chmodSync(path, 0o755);
  const code = `
    import { openSync } from "node:fs";
    import { Deadline } from "${new URL("deadline.ts", `file://${exec}`).pathname}";
    import { execDelegate } from "${exec}";
    const request = ${JSON.stringify({ path, stdin: "", inherit: [], ...request })};
    const env = { ADDED: "1" };
    for (const [name, value] of Object.entries(process.env)) env[name] = value ?? "";
    Object.assign(env, request.env);
    const inherit = request.inherit.map((file) => openSync(file, "w"));
    const deadline = new Deadline(request.ms ?? 30_000);
    try {
      console.log(JSON.stringify(await execDelegate({ ...request, env, inherit, deadline })));
    } catch ({ code, message }) {
      console.log(JSON.stringify({ code, message }));
    }`;
  const main = join(directory, "main.ts");
  writeFileSync(main, code);
  const child = Bun.spawn({
    cmd: withVariables(variables, [process.execPath, main]),
    env: { PATH: process.env["PATH"] ?? "" },
    cwd: directory,
    stdout: "pipe",
    stderr: "inherit",
  });
  return JSON.parse(await child.stdout.text()) as Record<string, unknown>;
}

/** The environment of the plugin, as bytes read as latin1. */
const environ = 'cat "/proc/$$/environ" >environ\n';

function environment(directory: string): string[] {
  const text = readFileSync(join(directory, "environ"), "latin1");
  return text
    .split("\0")
    .filter((entry) => entry !== "" && !entry.startsWith("PATH="));
}

describe("execDelegate, an environment that is not UTF-8", () => {
  test("is passed on as it is, with added and replaced variables", async () => {
    using directory = temporaryDirectory();
    const env = { U: "new", ADDED: "ä" };
    await execute(directory.path, `#!/bin/sh\n${environ}`, { env });
    const expected = ["A=x\xffy", "N\xfe=v", "U=new", "ADDED=Ã¤"];
    expect(environment(directory.path).toSorted()).toEqual(expected.toSorted());
  });

  test("a variable that was replaced is not passed on", async () => {
    using directory = temporaryDirectory();
    const env = { A: "replaced" };
    await execute(directory.path, `#!/bin/sh\n${environ}`, { env });
    expect(environment(directory.path)).toContain("A=replaced");
    expect(environment(directory.path)).not.toContain("A=x\xffy");
  });

  test("stdin, arguments, output, exit code and descriptors are as ever", async () => {
    using directory = temporaryDirectory();
    const files = ["a", "b"].map((name) => join(directory.path, name));
    const script = `#!/bin/sh
      cat; ls /proc/$$/fd; echo "$0 $#:$1" >&2; readlink /proc/$$/fd/3 /proc/$$/fd/4 >&2
      cut -d" " -f5,6 "/proc/$$/stat" | tr " " "\n" | sort -u | wc -l >&2
      grep -E "SigIgn|SigBlk" /proc/self/status >&2
      exit 3`;
    const stdin = "request".repeat(100_000);
    const result = await execute(directory.path, script, {
      stdin,
      args: ["one argument"],
      inherit: files,
    });
    expect(result).toEqual({
      exitCode: 3,
      signal: null,
      stdout: `${stdin}${"0 1 10 2 3 4".replaceAll(" ", "\n")}\n`,
      stderr: [
        `${directory.path}/plugin 1:one argument`,
        ...files,
        "1",
        "SigBlk:\t0000000000000000",
        "SigIgn:\t0000000000000000",
        "",
      ].join("\n"),
    });
  });

  test("a signal that ends it has its name", async () => {
    using directory = temporaryDirectory();
    const result = await execute(directory.path, "#!/bin/sh\nkill -SEGV $$\n");
    expect(result).toMatchObject({ exitCode: null, signal: "SIGSEGV" });
  });

  test("is killed with its group at the time limit", async () => {
    using directory = temporaryDirectory();
    const script = "#!/bin/sh\necho begun; sleep 60 & wait\n";
    expect(await execute(directory.path, script, { ms: 300 })).toMatchObject({
      signal: "SIGKILL",
      stdout: "begun\n",
      killed: "deadline",
    });
  });

  test("an error of the execution is thrown", async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "directory");
    mkdirSync(path);
    const missing = await execute(directory.path, "", { path: "/nonexistent" });
    const denied = await execute(directory.path, "", { path });
    expect([missing["code"], denied["code"]]).toEqual(["ENOENT", "EACCES"]);
  });
});
