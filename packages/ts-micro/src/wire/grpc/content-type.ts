/** gRPC's name of a codec → the content type that it has elsewhere (wire spec §4.2). Any other is `application/<name>`. */
const types: Readonly<Record<string, string>> = {
  "": "application/protobuf",
  proto: "application/protobuf",
  json: "application/json",
  bytes: "application/octet-stream",
  text: "text/plain",
};
/** Content type → what stands on the wire. Go's own words for its codecs are taken too. */
const names: Readonly<Record<string, string>> = {
  "application/protobuf": "application/grpc+proto",
  "application/proto": "application/grpc+proto",
  "application/json": "application/grpc+json",
  "application/octet-stream": "application/grpc+bytes",
  "text/plain": "application/grpc+text",
};
const grpc = "application/grpc";

/** The content type of the messages; undefined for a request that is not gRPC (gRPC-Web is another). */
export function messageType(contentType: string | undefined): string | undefined {
  if (contentType === undefined || !contentType.startsWith(grpc)) return undefined;
  const semicolon = contentType.indexOf(";");
  const type = semicolon < 0 ? contentType : contentType.slice(0, semicolon).trimEnd();
  if (type === grpc) return types[""];
  if (type[grpc.length] !== "+") return undefined;
  const name = type.slice(grpc.length + 1);
  return types[name] ?? `application/${name}`;
}

/** What a request or an answer says whose messages have this content type. */
export function grpcType(contentType: string): string {
  const known = names[contentType];
  if (known !== undefined) return known;
  if (contentType.startsWith(grpc)) return contentType;
  return `${grpc}+${contentType.replace(/^application\//, "")}`;
}

/** The content type of an answer: the request's own, if that leaves room for a status in a block of headers. */
export function answerType(contentType: string): string {
  return contentType.length > 1024 ? grpc : contentType;
}
