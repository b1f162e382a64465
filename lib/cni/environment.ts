/**
 * The runtime's request in the environment: the variables of each verb and their valid
 * values (cni-plugin.md P-ENV). Pure: the environment is a parameter.
 */
import { CniError, Code } from "./error.ts";
import { validateContainerId, validateIfname } from "./identifiers.ts";

export interface Environment {
  /** Any text: the verb is validated after stdin (P-ENV-6). */
  command: string;
  /**
   * This and the next two are "" for a verb that does not read them: they are not
   * validated then (P-ENV-3).
   */
  containerId: string;
  netns: string;
  ifname: string;
  args: string;
  path: readonly string[];
  netnsOverride: boolean;
}

export type Env = Readonly<Record<string, string | undefined>>;

/**
 * The CNI variables. Throws code 4 for an invalid one, else for the missing
 * ones, all named in the order of the table (P-ENV-2, P-ENV-3).
 */
export function readEnvironment(env: Env): Environment {
  const command = env["CNI_COMMAND"] ?? "";
  const missing: string[] = [];
  const read = (name: Name): string => {
    const { required, optional, validate } = variables[name];
    // Set but empty is unset: libcni sets all of them (P-ENV-1).
    const value = env[name] || "";
    if (!required.includes(command))
      return optional.includes(command) ? value : "";
    if (value === "") missing.push(name);
    else validate?.(value);
    return value;
  };
  if (command === "") missing.push("CNI_COMMAND");
  const environment = {
    command,
    containerId: read("CNI_CONTAINERID"),
    netns: read("CNI_NETNS"),
    ifname: read("CNI_IFNAME"),
    args: env["CNI_ARGS"] ?? "",
    path: directories(read("CNI_PATH")),
    netnsOverride: isYes(env["CNI_NETNS_OVERRIDE"]),
  };
  if (missing.length > 0) {
    throw new CniError(
      Code.invalidEnvironment,
      `required env variables [${missing.join(",")}] missing`,
    );
  }
  return environment;
}

function isYes(value: string | undefined): boolean {
  return value === "1" || value?.toLowerCase() === "true";
}

/** An empty element would mean the working directory. */
function directories(path: string): string[] {
  const named: string[] = [];
  for (const directory of path.split(":"))
    if (directory !== "") named.push(directory);
  return named;
}

type Name = "CNI_CONTAINERID" | "CNI_NETNS" | "CNI_IFNAME" | "CNI_PATH";

interface Variable {
  /** Verbs that require it; only they validate the value. */
  required: readonly string[];
  /** Verbs that read it if it is set. */
  optional: readonly string[];
  validate?: (value: string) => void;
}

/** cni-plugin.md §1.1, in the order in which they are checked and named. */
const variables: Record<Name, Variable> = {
  CNI_CONTAINERID: {
    required: ["ADD", "CHECK", "DEL"],
    optional: [],
    validate: validateContainerId,
  },
  CNI_NETNS: { required: ["ADD", "CHECK"], optional: ["DEL"] },
  CNI_IFNAME: {
    required: ["ADD", "CHECK", "DEL"],
    optional: [],
    validate: validateIfname,
  },
  CNI_PATH: { required: ["ADD", "CHECK", "DEL", "GC", "STATUS"], optional: [] },
};
