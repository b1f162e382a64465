import { describe, expect, test } from "bun:test";
import { commandNames } from "../../lib/cli/command/command.ts";
import { commands } from "../../lib/cli/commands.ts";
import { type } from "./fixtures.ts";

/** The completions that bash offers for the last of the words. */
async function offered(...words: string[]): Promise<string[]> {
  const { stdout } = await type(["completion", "bash"]);
  const script = `${stdout}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")})
COMP_CWORD=${words.length - 1}
_genie
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const {
    stdout: lines,
    stderr,
    exitCode,
  } = Bun.spawnSync(["bash", "-c", script]);
  expect({ exitCode, stderr: stderr.toString() }).toEqual({
    exitCode: 0,
    stderr: "",
  });
  return lines.toString().split("\n").filter(Boolean);
}

describe("completion bash", () => {
  test("genie, every command", async () => {
    expect(await offered("genie", "")).toEqual(commandNames(commands));
  });

  test.each<[words: string[], expected: string[]]>([
    [["genie", "un"], ["uninstall"]],
    [["genie", "list", "--na"], ["--namespace"]],
    [
      ["genie", "doctor", "-o", ""],
      ["table", "json"],
    ],
    [["genie", "doctor", "--output", "j"], ["json"]],
    [
      ["genie", "completion", ""],
      ["--help", "-h", "bash", "zsh"],
    ],
    [["genie", "install", "--interval", ""], []],
    [["genie", "install", "--kubeconfig", "/etc/pass"], ["/etc/passwd"]],
    [["genie", "install", "--root", "/et"], ["/etc"]],
    [["genie", "help", "exp"], ["explain"]],
  ])("%j, %j", async (words, expected) => {
    expect(
      (await offered(...words)).filter((word) => word !== "/etc/passwd-"),
    ).toEqual(expected);
  });
});

describe("completion zsh", () => {
  const zsh = Bun.which("zsh");

  test("the script, names every command and option, its quotes are balanced", async () => {
    const { exitCode, stdout } = await type(["completion", "zsh"]);
    const named = [...stdout.matchAll(/^ {4}'([a-z-]+):/gm)].map(
      ([, name]) => name,
    );
    expect({ exitCode, named }).toEqual({
      exitCode: 0,
      named: commandNames(commands),
    });
    expect(stdout).toContain(
      "'--output[table, wide, json or yaml (default table)]:FORMAT:(table wide json yaml)'",
    );
    // Quoting is the same in both shells, so bash can tell when zsh is not there.
    const words = stdout.match(/^ {4}list\) _arguments (.*) ;;$/m)?.[1] ?? "";
    const { stdout: lines } = Bun.spawnSync([
      "bash",
      "-c",
      `printf '%s\\n' ${words}`,
    ]);
    expect(lines.toString().split("\n")).toContain(
      "--root[where the node's file system is mounted (default /)]:DIR:_files -/",
    );
  });

  // Where there is a zsh, it reads the script itself.
  test.skipIf(zsh === null)("the script, is read by zsh", async () => {
    const { stdout } = await type(["completion", "zsh"]);
    const { exitCode, stderr } = Bun.spawnSync(
      [zsh ?? "", "-n", "/dev/stdin"],
      { stdin: Buffer.from(stdout) },
    );
    expect({ exitCode, stderr: stderr.toString() }).toEqual({
      exitCode: 0,
      stderr: "",
    });
  });
});
