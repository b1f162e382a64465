/**
 * What an operator types: `genie <command>`. Never loaded for a pod. Each
 * command returns its exit code; 2 is for what cannot be understood.
 */
import { parseArgs } from "node:util";
import { messageOf } from "../cni/error.ts";
import { writeStderr, writeStdout } from "../cni/stdio.ts";
import { collect } from "./gc.ts";
import { nodeDefaults, nodeOperation } from "./node.ts";

/** The process as a command sees it. */
export interface Terminal {
  version: string;
  env: Readonly<Record<string, string | undefined>>;
}

interface Command {
  summary: string;
  options: Readonly<Record<string, { value: string; about: string }>>;
  run(
    options: Readonly<Record<string, string | undefined>>,
    terminal: Terminal,
  ): Promise<number>;
}

const commands: Record<string, Command> = {
  gc: {
    summary: "delete what is left of containers that are gone",
    options: {
      "conf-dir": {
        value: "DIR",
        about: `network configurations (${nodeDefaults.confDir})`,
      },
      "bin-dir": { value: "DIR", about: `plugins (${nodeDefaults.binDir})` },
      "data-dir": { value: "DIR", about: "attachment records (as configured)" },
      grace: {
        value: "SECONDS",
        about: "how long a namespace must have been gone (300)",
      },
    },
    async run(options, { env }) {
      const grace = Number(options["grace"] ?? 300);
      if (!Number.isFinite(grace) || grace < 0)
        throw new Error("--grace: expected seconds");
      const operation = nodeOperation(
        {
          confDir: options["conf-dir"] ?? nodeDefaults.confDir,
          binDir: options["bin-dir"] ?? nodeDefaults.binDir,
          dataDir: options["data-dir"],
        },
        env,
      );
      const { deleted, waiting, failed } = await collect(
        operation,
        grace * 1000,
      );
      const lines = [
        ...deleted.map(
          ({ containerId, ifname }) => `deleted ${containerId} ${ifname}`,
        ),
        ...failed.map(({ what, error }) => `failed ${what}: ${error}`),
        `${deleted.length} deleted, ${waiting.length} waiting, ${failed.length} failed`,
      ];
      await writeStdout(`${lines.join("\n")}\n`);
      return failed.length === 0 ? 0 : 1;
    },
  },
  version: {
    summary: "print the version",
    options: {},
    async run(_, { version }) {
      await writeStdout(`genie ${version}\n`);
      return 0;
    },
  },
  help: {
    summary: "print this text",
    options: {},
    async run() {
      await writeStdout(usage());
      return 0;
    },
  },
};

const aliases: Record<string, string> = {
  "--version": "version",
  "--help": "help",
  "-h": "help",
};

/** Runs what the words ask for; the exit code. */
export async function runCommand(
  words: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const [word = "help", ...args] = words;
  const name = aliases[word] ?? word;
  const command = new Map(Object.entries(commands)).get(name);
  if (!command) {
    writeStderr(`genie: unknown command ${JSON.stringify(word)}\n\n${usage()}`);
    return 2;
  }
  let options: Record<string, string | undefined>;
  try {
    options = parse(command, args);
  } catch (error) {
    writeStderr(
      `genie ${name}: ${messageOf(error)}\n\n${commandUsage(name, command)}`,
    );
    return 2;
  }
  if ("help" in options) {
    await writeStdout(commandUsage(name, command));
    return 0;
  }
  try {
    return await command.run(options, terminal);
  } catch (error) {
    writeStderr(`genie ${name}: ${messageOf(error)}\n`);
    return 1;
  }
}

function parse(
  command: Command,
  args: readonly string[],
): Record<string, string | undefined> {
  const names = Object.keys(command.options);
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean", short: "h" },
      ...Object.fromEntries(
        names.map((name) => [name, { type: "string" as const }]),
      ),
    },
  });
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, String(value)]),
  );
}

function usage(): string {
  return [
    "genie lets every Kubernetes pod choose its network. A container runtime executes it",
    "as a CNI plugin; these commands are for people:",
    "",
    ...table(
      Object.entries(commands).map(([name, { summary }]) => [name, summary]),
    ),
    "",
  ].join("\n");
}

function commandUsage(name: string, { summary, options }: Command): string {
  const rows = Object.entries(options).map(
    ([option, { value, about }]): [string, string] => [
      `--${option} ${value}`,
      about,
    ],
  );
  return [`genie ${name}: ${summary}`, "", ...table(rows), ""].join("\n");
}

function table(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(0, ...rows.map(([left]) => left.length)) + 2;
  return rows.map(([left, right]) => `  ${left.padEnd(width)}${right}`);
}
