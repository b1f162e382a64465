/**
 * The table of commands: what `genie help` lists. Each is loaded only when it
 * is typed.
 */
import type { Commands, Entry } from "./command.ts";

export const commands: Commands = new Map(
  Object.entries({
    install: {
      summary: "put genie onto this node, or bring it up to date",
      load: async () => (await import("./install.ts")).install,
    },
    uninstall: {
      summary: "give the node back to its former network",
      load: async () => (await import("./uninstall.ts")).uninstall,
    },
    manifest: {
      summary: "print the Kubernetes objects of genie",
      load: async () => (await import("./manifest.ts")).manifest,
    },
    doctor: {
      summary: "check this node and say what to do",
      load: async () => (await import("./doctor.ts")).doctor,
    },
    explain: {
      summary: "say which networks a pod gets on this node, and why",
      load: async () => (await import("./explain.ts")).explain,
    },
    list: {
      summary: "list the attachments of this node",
      load: async () => (await import("./list.ts")).list,
    },
    gc: {
      summary: "delete what is left of containers that are gone",
      load: async () => (await import("./gc.ts")).gc,
    },
    completion: {
      summary: "print the completion script of a shell",
      load: async () => (await import("./completion.ts")).completion,
    },
    version: {
      summary: "print the version",
      load: async () => (await import("./version.ts")).version,
    },
    help: {
      summary: "print this text, or a command's",
      load: async () => (await import("./help.ts")).help,
    },
    "plugin-versions": {
      summary: "ask a plugin for its versions below another root folder",
      hidden: true,
      load: async () => (await import("./plugin-versions.ts")).pluginVersions,
    },
  } satisfies Record<string, Entry>),
);
