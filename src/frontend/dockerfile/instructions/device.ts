import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { withSuggestion } from "../suggest.ts";
import { cut, parseBool } from "../text.ts";
import { csvFields } from "./csv-fields.ts";
import type { Device } from "./types.ts";

/**
 * Reads one `--device` value: `vendor/class=name[,required]` (BuildKit
 * frontend/dockerfile/instructions/commands_rundevice.go). @throws BuildError
 */
export function parseDevice(value: string): Device {
  let name = "";
  let required = false;
  for (const field of deviceFields(value)) {
    const { before, after } = cut(field, "=");
    const key = before.toLowerCase();
    if (key === "required") {
      const given = after === undefined ? true : parseBool(after);
      if (given === undefined) throw fault(`invalid value for ${key}: ${after}`);
      required = given;
    } else if (key === "name" && after !== undefined) {
      if (name !== "") throw fault(`device name already set to ${name}`);
      name = after;
    } else if (name === "") {
      name = field; // a device's own name may hold a `=`
    } else if (after === undefined) {
      throw fault(`invalid field '${field}' must be a key=value pair`);
    } else {
      throw fault(withSuggestion(`unexpected key '${key}' in '${field}'`, key, ["name", "required"]));
    }
  }
  return { name, required };
}

function deviceFields(value: string): string[] {
  try {
    return csvFields(value);
  } catch (error) {
    throw BuildError.from(error).wrap("failed to parse csv devices");
  }
}

function fault(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
