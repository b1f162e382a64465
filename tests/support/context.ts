/** The context of one call of genie, for tests of what a verb does. */
import { type Context, createContext } from "../../lib/attach/context.ts";
import {
  type Dependencies,
  systemDependencies,
} from "../../lib/attach/dependencies.ts";
import type { Request } from "../../lib/cni/plugin-request.ts";

/** Of the container c1; GC and STATUS are of none. What `more` does not say is the system's. */
export function contextOf(
  request: Partial<Request> & Pick<Request, "command">,
  more: Partial<Dependencies> = {},
): Context {
  const isOfContainer = !["GC", "STATUS"].includes(request.command);
  return createContext(
    {
      containerId: isOfContainer ? "c1" : "",
      netns: "",
      ifname: isOfContainer ? "eth0" : "",
      args: "",
      path: [],
      cniVersion: "1.1.0",
      config: { name: "genie-net", type: "genie" },
      ...request,
    },
    { ...systemDependencies({}), ...more },
  );
}
