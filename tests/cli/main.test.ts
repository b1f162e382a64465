import { describe, expect, test } from "bun:test";
import { UsageError, readInput } from "../../lib/cli/command/input.ts";
import { commandNames } from "../../lib/cli/command/command.ts";
import { commands } from "../../lib/cli/commands.ts";
import { type } from "./fixtures.ts";

const hint = (command: string) =>
  `\`genie ${command} --help\` lists the options\n`;

describe("runCommand", () => {
  test.each([["version"], ["--version"], ["-v"]])(
    "%s, the version",
    async (word) => {
      expect(await type([word])).toEqual({
        exitCode: 0,
        stdout: "genie 1.2.3\n",
        stderr: "",
      });
    },
  );

  test.each([["help"], ["--help"], ["-h"]])(
    "%s, every command that is for people",
    async (word) => {
      const { exitCode, stdout } = await type([word]);
      const lines = stdout.split("\n");
      expect(lines.length).toBeLessThanOrEqual(24);
      expect(lines.filter((line) => line.length > 80)).toEqual([]);
      const listed = [...stdout.matchAll(/^ {2}(\S+) /gm)].map(
        ([, name]) => name,
      );
      expect({ exitCode, listed }).toEqual({
        exitCode: 0,
        listed: commandNames(commands),
      });
    },
  );

  test.each<[words: string[], stderr: string]>([
    [
      ["instal"],
      'genie: unknown command "instal"; did you mean "install"?\n`genie help` lists the commands\n',
    ],
    [
      ["lsit"],
      'genie: unknown command "lsit"; did you mean "list"?\n`genie help` lists the commands\n',
    ],
    [
      ["--hlep"],
      'genie: unknown option "--hlep"; did you mean --help?\n`genie help` lists the commands\n',
    ],
    [["-x"], 'genie: unknown option "-x"\n`genie help` lists the commands\n'],
    [
      ["frobnicate"],
      'genie: unknown command "frobnicate"\n`genie help` lists the commands\n',
    ],
    [
      ["constructor"],
      'genie: unknown command "constructor"\n`genie help` lists the commands\n',
    ],
    [
      ["install", "--kubconfig", "x"],
      `genie install: unknown option --kubconfig; did you mean --kubeconfig?\n${hint("install")}`,
    ],
    [
      ["install", "--xyzzy"],
      `genie install: unknown option --xyzzy\n${hint("install")}`,
    ],
    [
      ["install", "--kubeconfig"],
      `genie install: --kubeconfig expects a value: FILE\n${hint("install")}`,
    ],
    [
      ["list", "-ho"],
      `genie list: --output expects a value: FORMAT\n${hint("list")}`,
    ],
    [
      ["list", "-n="],
      `genie list: --namespace expects a value: NS\n${hint("list")}`,
    ],
    [
      ["list", "-A=no"],
      `genie list: --all-namespaces takes no value\n${hint("list")}`,
    ],
    [["list", "-hx"], `genie list: unknown option -x\n${hint("list")}`],
    [
      ["install", "--kubeconfig", "--watch"],
      `genie install: --kubeconfig expects a value: FILE\n${hint("install")}`,
    ],
    [
      ["install", "--default="],
      `genie install: --default expects a value: NETWORK\n${hint("install")}`,
    ],
    [
      ["install", "--watch=yes"],
      `genie install: --watch takes no value\n${hint("install")}`,
    ],
    [
      ["install", "now"],
      `genie install: unexpected argument "now"\n${hint("install")}`,
    ],
    [
      ["install", "--kubeconfig=/k", "--server=https://a"],
      `genie install: --kubeconfig and --server exclude each other\n${hint("install")}`,
    ],
    [
      ["install", "--token-file=/t"],
      `genie install: --token-file needs --server\n${hint("install")}`,
    ],
    [
      ["install", "--certificate-authority=/c"],
      `genie install: --certificate-authority needs --server\n${hint("install")}`,
    ],
    [
      ["install", "--insecure-skip-tls-verify"],
      `genie install: --insecure-skip-tls-verify needs --server\n${hint("install")}`,
    ],
    ...["install", "uninstall", "list", "doctor"].map(
      (command): [string[], string] => [
        [command, "--root=/nosuch"],
        `genie ${command}: --root: no directory "/nosuch"\n${hint(command)}`,
      ],
    ),
    [
      ["install", "--server=ftp://a", "--token-file=/t"],
      `genie install: --server "ftp://a": expected an http or https URL\n${hint("install")}`,
    ],
    [
      ["install", "--server=https://a"],
      `genie install: --server: --token-file or --client-certificate is missing\n${hint("install")}`,
    ],
    [
      ["install", "--server=https://a", "--client-key=/k"],
      `genie install: --client-certificate and --client-key need each other\n${hint("install")}`,
    ],
    [
      ["install", "--interval=soon"],
      `genie install: --interval: expected seconds, got "soon"\n${hint("install")}`,
    ],
    ...["install", "uninstall"].flatMap((command) =>
      ["--interval=5", "--health=/h"].map((option): [string[], string] => [
        [command, option],
        `genie ${command}: ${option.split("=")[0]} needs --watch\n${hint(command)}`,
      ]),
    ),
    ...[
      "--default=canal",
      "--set=strict=true",
      "--settings=/s",
      "--service-account=/a",
      "--health=/h",
    ].map((option): [string[], string] => [
      ["agent", "--no-install", option],
      `genie agent: ${option.split("=")[0]} and --no-install exclude each other\n${hint("agent")}`,
    ]),
    ...["--grace=0", "--skip-abandoned"].flatMap((option) =>
      ["--drop=c1", "--drop-all"].map((drop): [string[], string] => [
        ["gc", option, drop],
        `genie gc: ${option.split("=")[0]} and ${drop.split("=")[0]} exclude each other\n${hint("gc")}`,
      ]),
    ),
    [
      ["gc", "--grace=-1"],
      `genie gc: --grace: expected seconds, got "-1"\n${hint("gc")}`,
    ],
    [
      ["list", "-o", "xml"],
      `genie list: --output: expected table, wide, json or yaml, got "xml"\n${hint("list")}`,
    ],
    [
      ["explain", "a/b/c"],
      `genie explain: expected POD, NAMESPACE/POD or pod/POD, got "a/b/c"\n${hint("explain")}`,
    ],
    [
      ["explain", "/web"],
      `genie explain: expected POD, NAMESPACE/POD or pod/POD, got "/web"\n${hint("explain")}`,
    ],
    [
      ["explain", "pod/"],
      `genie explain: expected POD, NAMESPACE/POD or pod/POD, got "pod/"\n${hint("explain")}`,
    ],
    [
      ["explain", "shop/web", "-n", "default"],
      `genie explain: "shop/web" is in namespace "shop", -n says "default"\n${hint("explain")}`,
    ],
    [
      ["explain", "deploy/web", "-n", "shop"],
      `genie explain: genie may read pods only: kubectl get deployment web -n shop -o yaml | genie explain -f -\n${hint("explain")}`,
    ],
    [
      ["explain"],
      `genie explain: POD is missing: name one, or a file with -f\n${hint("explain")}`,
    ],
    [
      ["completion", "fish"],
      `genie completion: expected bash or zsh, got "fish"\n${hint("completion")}`,
    ],
    [
      ["manifest", "--image=a b"],
      `genie manifest: --image: "a b" is not the name of an image\n${hint("manifest")}`,
    ],
    [
      ["manifest", "--namespace=A"],
      `genie manifest: --namespace: "A" is not the name of a namespace\n${hint("manifest")}`,
    ],
    [
      ["manifest", "--kubeconfig=/k"],
      `genie manifest: --kubeconfig needs --node-credentials\n${hint("manifest")}`,
    ],
    [
      ["help", "lst"],
      `genie help: unknown command "lst"; did you mean "list"?\n${hint("help")}`,
    ],
  ])("%j, exit code 2 and a suggestion", async (words, stderr) => {
    expect(await type(words)).toEqual({ exitCode: 2, stdout: "", stderr });
  });

  test.each(commandNames(commands))(
    "%s --help, names every option of it",
    async (name) => {
      const { exitCode, stdout, stderr } = await type([name, "--help"]);
      const command = await commands.get(name)?.load();
      const listed = [
        ...stdout.matchAll(/^ {2}(?:-\w, | {4})--([\w-]+)/gm),
      ].map(([, option]) => option);
      expect({ exitCode, stderr, listed }).toEqual({
        exitCode: 0,
        stderr: "",
        listed: [...Object.keys(command?.options ?? {}), "help"],
      });
      expect(await type(["help", name])).toEqual({
        exitCode: 0,
        stdout,
        stderr: "",
      });
    },
  );

  test("without words, the help", async () => {
    expect(await type([])).toEqual(await type(["help"]));
  });
});

describe("readInput", () => {
  const command = {
    operand: { name: "POD" },
    options: {
      namespace: { value: "NS", short: "n", about: "" },
      "conf-dir": { value: "DIR", about: "" },
      force: { about: "" },
    },
    run: () => Promise.resolve(0),
  };

  test("words, in any order and spelling", () => {
    const input = readInput(command, [
      "-n",
      "shop",
      "web",
      "--conf-dir=net.d",
      "--force",
    ]);
    expect({
      operand: input.operand,
      namespace: input.text("namespace"),
      confDir: input.path("conf-dir"),
      force: input.flag("force"),
      seconds: input.seconds("grace", 7),
    }).toEqual({
      operand: "web",
      namespace: "shop",
      confDir: `${process.cwd()}/net.d`,
      force: true,
      seconds: 7,
    });
  });

  test.each<[words: string[], outcome: string]>([
    [["web", "weave"], "web weave"],
    [["web", "-n", "shop", "weave"], "web weave"],
    [["web"], "NETWORK is missing"],
    [[], "POD is missing"],
    [["web", "weave", "canal"], 'unexpected argument "canal"'],
  ])("two operands, %j", (words, outcome) => {
    const two = { ...command, secondOperand: { name: "NETWORK" } };
    const told = (): string => {
      try {
        const { operand, secondOperand } = readInput(two, words);
        return `${operand} ${secondOperand}`;
      } catch (error) {
        return error instanceof UsageError ? error.message : String(error);
      }
    };
    expect(told()).toBe(outcome);
  });

  test.each(["-n=shop", "-nshop", "--namespace=shop"])(
    "%s, as for kubectl",
    (word) => {
      const input = readInput(command, [word, "web"]);
      expect([input.text("namespace"), input.operand]).toEqual(["shop", "web"]);
    },
  );

  test("--, ends the options", () => {
    expect(readInput(command, ["--", "--force"]).operand).toBe("--force");
  });
});
