/** Long work shows progress on a terminal, and is quiet in a pipe. */
import { expect, test } from "bun:test";
import { startNode } from "../support/scripted-node.ts";
import { genieBinary } from "../support/build.ts";

test.each(["gc", "audit"])(
  "genie %s: a line on a terminal that is erased, nothing in a pipe",
  async (command) => {
    await using node = await startNode();
    const directories = [
      `--conf-dir=${node.confDir}`,
      `--data-dir=${node.dataDir}`,
    ];
    const list = command === "audit" ? ["-f", "/dev/null"] : [];
    // `script` gives it a terminal.
    const words = [genieBinary(), command, ...directories, ...list].join(" ");
    const run = (by: string[]) =>
      Bun.spawnSync(by, { env: { ...process.env, TERM: "xterm" } });
    const shown = run(["script", "-qec", words, "/dev/null"]).stdout.toString();
    const piped = run(words.split(" ")).stderr.toString();
    expect(piped).not.toContain("\u001b");
    if (command === "audit")
      expect(shown).toContain("\r\u001b[Kreading the pods of this node");
    expect(shown).toContain("\r\u001b[K");
  },
);
