/**
 * The answer to VERSION as a text in the executable: the build calls this, so that
 * who asks for the versions loads nothing (`with { type: "macro" }` in genie.ts).
 */
import { versionAnswer } from "./version.ts";

export function answerToVersion(): string {
  return versionAnswer;
}
