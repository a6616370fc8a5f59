import type {
  DescriptorProto,
  EnumDescriptorProto,
  FieldDescriptorProto,
  FileDescriptorProto,
} from "@bufbuild/protobuf/wkt";
import type { Place } from "../fault.ts";
import type { Option } from "./option.ts";

/** A name that must be found among the declarations of the file and its imports. */
export interface Reference {
  readonly name: string;
  /** Full name of what it stands in: `pkg.Outer`. */
  readonly scope: string;
  readonly place: Place;
  /** What it may be. */
  readonly wants: "type" | "message";
  readonly set: (fullName: string, kind: "message" | "enum") => void;
}

/** Options as they were written, of one declaration. */
export interface Written {
  /** `MethodOptions` */
  readonly type: string;
  readonly scope: string;
  readonly options: readonly Option[];
  /** Takes them as bytes of that message. */
  readonly set: (bytes: Uint8Array) => void;
}

/** A declaration by its full name. */
export interface Declared {
  readonly name: string;
  readonly place: Place;
  readonly what:
    | { readonly kind: "message"; readonly proto: DescriptorProto }
    | { readonly kind: "enum"; readonly proto: EnumDescriptorProto }
    | { readonly kind: "extension"; readonly proto: FieldDescriptorProto }
    | { readonly kind: "service" | "method" | "value" | "field" | "oneof" };
}

/** A file before its names are resolved. */
export interface Parsed {
  readonly proto: FileDescriptorProto;
  readonly imports: ReadonlyMap<string, Place>;
  readonly declared: readonly Declared[];
  readonly references: readonly Reference[];
  readonly written: readonly Written[];
  /** Places of fields and enum values, for what is checked when all is known. */
  readonly places: ReadonlyMap<object, Place>;
}
