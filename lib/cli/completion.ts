/** `genie completion bash|zsh`: generated from the table of commands. */
import { type Command, commandNames } from "./command/command.ts";
import { type Option, helpOption } from "./command/options.ts";

export const completion: Command = {
  operand: { name: "SHELL", choices: ["bash", "zsh"] },
  options: {},
  about: `bash: source <(genie completion bash)
zsh:  source <(genie completion zsh), after compinit`,
  async run({ operand }, { stdout }, commands) {
    const names = commandNames(commands);
    const known = await Promise.all(
      names.map(async (name): Promise<Known> => {
        const entry = commands.get(name);
        const command = await entry?.load();
        const options = { ...command?.options, help: helpOption };
        return {
          name,
          summary: entry?.summary ?? "",
          options: Object.entries(options),
          operands: name === "help" ? names : (command?.operand?.choices ?? []),
        };
      }),
    );
    await stdout(operand === "zsh" ? zsh(known) : bash(known));
    return 0;
  },
};

interface Known {
  name: string;
  summary: string;
  options: [name: string, option: Option][];
  operands: readonly string[];
}

function bash(known: readonly Known[]): string {
  const cases = known.map(({ name, options, operands }) => {
    const words = [
      ...options.flatMap(([option, spec]) => flagsOf(option, spec)),
      ...operands,
    ];
    return `    ${name}) words='${words.join(" ")}' ;;`;
  });
  return `# bash completion of genie
_genie() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} words=
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '${known.map(({ name }) => name).join(" ")}' -- "$current"))
    return
  fi
  case "\${COMP_WORDS[1]} $previous" in
${valueCases(known).join("\n")}
  esac
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _genie genie
`;
}

/** The values that completion offers for an option: files, directories, choices, or none. */
function valueCases(known: readonly Known[]): string[] {
  return known.flatMap(({ name, options }) =>
    options.flatMap(([option, spec]) => {
      if (spec.value === undefined) return [];
      const pattern = flagsOf(option, spec)
        .map((flag) => `"${name} ${flag}"`)
        .join("|");
      return [`    ${pattern}) ${bashValue(spec)}; return ;;`];
    }),
  );
}

/** How each shell completes a path, by the name of the value. */
const paths: Readonly<Record<string, { bash: string; zsh: string }>> = {
  FILE: { bash: "-f", zsh: "_files" },
  DIR: { bash: "-d", zsh: "_files -/" },
};

function bashValue({ value = "", choices }: Option): string {
  const how = choices ? `-W '${choices.join(" ")}'` : paths[value]?.bash;
  return how === undefined
    ? "COMPREPLY=()"
    : `COMPREPLY=($(compgen ${how} -- "$current"))`;
}

function zsh(known: readonly Known[]): string {
  const names = known.map(
    ({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`,
  );
  const cases = known.map(({ name, options, operands }) => {
    const specs = [
      ...options.flatMap(([option, spec]) => zshOption(option, spec)),
      ...(operands.length > 0 ? [`'1: :(${operands.join(" ")})'`] : []),
    ];
    return `    ${name}) _arguments ${specs.join(" ")} ;;`;
  });
  return `#compdef genie
_genie() {
  local -a names=(
${names.join("\n")}
  )
  if ((CURRENT == 2)); then
    _describe command names
    return
  fi
  shift words
  ((CURRENT--))
  case "\${words[1]}" in
${cases.join("\n")}
  esac
}
compdef _genie genie
`;
}

function zshOption(name: string, spec: Option): string[] {
  const { value = "", about, choices, repeated } = spec;
  const action = choices ? `(${choices.join(" ")})` : (paths[value]?.zsh ?? "");
  const text = about.replace(/[[\]:]/g, " ");
  const tail = value === "" ? "" : `:${value}:${action}`;
  const before = repeated ? "*" : "";
  return flagsOf(name, spec).map((flag) =>
    quoted(`${before}${flag}[${text}]${tail}`),
  );
}

function flagsOf(name: string, { short }: Option): string[] {
  return short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
