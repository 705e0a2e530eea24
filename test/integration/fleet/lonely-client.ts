/** A client to be killed: builds a step that runs for an hour. Arguments: address, image, directory for its files. */
import { image } from "../../../src/llb/builder/index.ts";
import { BuildClient } from "../../helpers/sandbox/index.ts";

const [address = "", base = "", directory = ""] = process.argv.slice(2);
const client = await BuildClient.connect(address, directory);
await client.build({ state: image(base).run({ args: ["sh", "-c", "trap '' TERM; sleep 3600 & echo lonely; wait"] }) });
